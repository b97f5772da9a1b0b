"""What one run is (Spec) and what came of it (Result): frozen, JSON, with a key made of all that decides the number."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import methods
from methods.errors import check
from methods.options import LATER, as_json, at_least, check_bounds, fraction

if TYPE_CHECKING:
    from benchmarks.backbones import Source
    from methods.base import Config

SCHEMA_VERSION = 1
Dtype = Literal["float32", "bfloat16"]  # of the matrix products


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every method of a comparison is trained; learning rate and weight decay belong to the method.

    ``votes``: logits of a test cloud are the mean over it and votes - 1 randomly scaled copies. ``compile``: training
    steps go through torch.compile, which rounds otherwise.
    """

    epochs: Annotated[int, at_least(1)] = 30
    batch_size: Annotated[int, at_least(2)] = 32
    warmup_epochs: int = 3
    drop_path: Annotated[float, fraction] = 0.0
    label_smoothing: Annotated[float, fraction] = 0.0
    clip_grad: float = 1.0  # 0 turns clipping off
    augment: Literal["none", "rotate", "scale_translate"] = "none"
    normalization: Literal["checkpoint", "imagenet", "none"] = "checkpoint"
    checkpoint_rule: Literal["last", "best_val", "best_test"] = "last"
    train_split: Literal["trainval", "train"] = "trainval"
    votes: Annotated[int, at_least(1)] = field(default=1, metadata=LATER)
    compile: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        check_bounds(self)
        check(
            self.warmup_epochs < self.epochs,
            f"warmup_epochs={self.warmup_epochs} must be from 0 to epochs - 1 = {self.epochs - 1}",
        )
        check(
            self.checkpoint_rule != "best_val" or self.train_split == "train",
            "checkpoint_rule=best_val chooses on val: add train_split=train, which leaves val out of training",
        )


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One run: equal specs give equal numbers.

    ``tuning`` says which study chose the configuration; it is told in the record, and not part of what a run is.
    """

    method: str
    config: Config
    backbone: Source
    suite: str
    task: str
    classes: int
    data_fingerprint: str
    recipe: Recipe
    seed: int
    dtype: Dtype
    tuning: dict[str, Any] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        fits = self.recipe.votes == 1 or self.backbone.modality == "points"
        check(fits, f"recipe: votes={self.recipe.votes} is for point clouds; task '{self.task}' is one of images")

    def to_json(self) -> dict[str, Any]:
        """All fields but ``tuning``; those added after runs had been recorded only where off their defaults."""
        return {name: value for name, value in as_json(self).items() if name != "tuning"}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Spec:
        """The inverse of ``to_json`` after a round through JSON, where tuples became lists."""
        from benchmarks.backbones import Source

        backbone: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["backbone"].items()}
        config = methods.config(values["method"], values["config"])
        replaced = {"backbone": Source(**backbone), "config": config, "recipe": Recipe(**values["recipe"])}
        return cls(**(values | replaced))

    @property
    def key(self) -> str:
        """16 hexadecimal digits of the SHA-256 over the canonical JSON of this spec and the schema version."""
        values = {"schema_version": SCHEMA_VERSION, **self.to_json()}
        # weights are known by their digest, wherever they lie
        values["backbone"] = values["backbone"] | {"name": self.backbone.name.partition("@")[0]}
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def stem(self) -> str:
        """The path of this run's files below a folder, without an ending."""
        return f"{self.suite}/{self.task}/{self.method.replace(':', '-')}-s{self.seed}-{self.key}"

    def __str__(self) -> str:
        return f"{self.method} on {self.task}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The record of a finished run; accuracies are fractions, other units are in the names."""

    spec: Spec
    history: list[dict[str, float | int | None]]
    accuracy: dict[str, Any]
    params: dict[str, int]
    cost: dict[str, Any]
    environment: dict[str, Any]
    report: dict[str, Any] = field(default_factory=dict)
    status: str = field(default="finished", init=False)

    def to_json(self) -> dict[str, Any]:
        values = dataclasses.asdict(self) | {"spec": self.spec.to_json(), "tuning": self.spec.tuning}
        return {"schema_version": SCHEMA_VERSION, "key": self.spec.key, **values}
