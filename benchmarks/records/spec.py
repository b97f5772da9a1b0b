"""The description of one run (Spec) and its outcome (Result). Both are frozen, and JSON can hold both."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import methods
from benchmarks.backbones.names import parse
from benchmarks.files.names import check_part
from methods.errors import check
from methods.options import LATER, as_json, at_least, at_most, check_bounds, fraction, positive

if TYPE_CHECKING:
    from benchmarks.backbones import Source
    from benchmarks.suites.kinds import KindName
    from methods.base import Config

SCHEMA_VERSION = 1
SEEDS = 2**31  # seeds below this suit every generator of random numbers and every table
Dtype = Literal["float32", "bfloat16"]  # the type that matrix products are computed in
# fields of a recipe that suit one kind of sample, and the values with which they change nothing
FOR_POINTS = {"votes": 1, "augment": "none", "resample": False}
FOR_IMAGES = {"rand_augment": 0, "color_jitter": 0.0, "random_erasing": 0.0, "crop_scale": 1.0, "hflip": 0.0}
FOR_FILES = {"resize": "squash"}  # suits images, and changes no sample between steps
Epoch = dict[str, Any]  # what is told of an epoch: its stage, its number, and its row of the history


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every method of a comparison is trained. Learning rate and weight decay are options of the method.

    Attributes:
        epochs: passes over the training samples.
        batch_size: samples per training step; the batches of an epoch differ in size by at most one sample.
        warmup_epochs: epochs in which the learning rate rises linearly; it then falls along a cosine. Fewer than
            ``epochs``.
        drop_path: the probability that a sample skips the last block; it falls linearly to 0 at the first block.
        label_smoothing: the share of the target that is spread evenly over all classes.
        clip_grad: the largest norm of the gradient of all trained weights together; 0 turns clipping off.
        augment: the augmentation of point clouds in training. "rotate" turns a cloud about the y axis,
            "scale_translate" scales each axis and shifts it, "scale_shift" scales all axes alike and shifts it less.
        resample: an augmentation of point clouds that goes with the others: every step draws the points of a cloud anew
            from all that its file has, in a random order.
        normalization: the mean and the standard deviation that images are normalised with: those of the backbone's
            weights ("checkpoint"), those of ImageNet, or no normalisation.
        resize: how image files become squares: "squash" resizes the whole image, as the code of VTAB-1K's papers does;
            "checkpoint" takes crop and interpolation from timm's configuration of the weights, as fine-grained sets do.
        checkpoint_rule: the epoch whose weights are tested: the last one, the best on the validation split, or the
            best on the test split. Some papers use "best_test", which is not honest; it is shown as a column of its
            own.
        train_split: "trainval" trains on train and val together. "train" keeps val for choosing.
        votes: the logits of a test cloud are the mean over the cloud and ``votes`` - 1 randomly scaled copies. The
            authors' votes differ: each of 10 copies is resampled, scaled and shifted, none is the cloud itself, and the
            best of 300 such tests is reported, which chooses on the test split.
        compile: whether training steps use torch.compile, which rounds differently.
        frozen_batchnorm: whether a BatchNorm whose weights are frozen keeps the statistics of the pretraining, or lets
            them adapt to the training samples. Published numbers on point clouds let them adapt, and do not count them.
        rand_augment: the magnitude of timm's RandAugment of images, policy rand-mM-mstd0.5-inc1; 0 turns it off.
        color_jitter: by how much brightness, contrast and saturation of images change at most. As in timm, RandAugment
            takes the place of color jitter where both are asked for.
        random_erasing: the probability that noise covers a rectangle of an image (timm's reprob, mode pixel).
        crop_scale: the least share of an image's area that a random resized crop keeps; 1 turns cropping off. The crop
            is of the image at the backbone's size, not of the file.
        hflip: the probability that an image is mirrored.
        validate_every: with train_split=train, the validation split is read after every so many epochs, and after the
            last one.
        pace: PACE's regulariser of methods with adapters: two passes per step with noise on the adapters ("pace"), or
            one pass and the logits of the epoch before ("fast"). See ``benchmarks.training.pace``.
        pace_lambda: the weight of PACE's distance of logits.
        pace_sigma: the standard deviation of PACE's noise at the first block; it falls linearly to 0.
        masked: whether, in a test set, only those classes compete that it has samples of. Of 1,000 classes,
            ImageNet-A and -R have 200.
        full_rate_steps: in a run of fewer steps, all weights but the head's learn at the share steps / full_rate_steps
            of the learning rate, because a few large steps ruin features. 0 turns this off.
    """

    epochs: Annotated[int, at_least(1), at_most(100_000)] = 30
    batch_size: Annotated[int, at_least(2), at_most(65_536)] = 32
    warmup_epochs: int = 3
    drop_path: Annotated[float, fraction] = 0.0
    label_smoothing: Annotated[float, fraction] = 0.0
    clip_grad: float = 1.0
    augment: Literal["none", "rotate", "scale_translate", "scale_shift"] = "none"
    normalization: Literal["checkpoint", "imagenet", "none"] = "checkpoint"
    checkpoint_rule: Literal["last", "best_val", "best_test"] = "last"
    train_split: Literal["trainval", "train"] = "trainval"
    votes: Annotated[int, at_least(1), at_most(1_000)] = field(default=1, metadata=LATER)
    compile: bool = field(default=False, metadata=LATER)
    resample: bool = field(default=False, metadata=LATER)
    frozen_batchnorm: Literal["keep", "adapt"] = field(default="keep", metadata=LATER)
    rand_augment: Annotated[int, at_most(10)] = field(default=0, metadata=LATER)
    color_jitter: Annotated[float, at_most(1)] = field(default=0.0, metadata=LATER)
    random_erasing: Annotated[float, at_most(1)] = field(default=0.0, metadata=LATER)
    crop_scale: Annotated[float, positive, at_most(1)] = field(default=1.0, metadata=LATER)
    hflip: Annotated[float, at_most(1)] = field(default=0.0, metadata=LATER)
    resize: Literal["squash", "checkpoint"] = field(default="squash", metadata=LATER)
    validate_every: Annotated[int, at_least(1)] = field(default=1, metadata=LATER)
    masked: bool = field(default=False, metadata=LATER)
    full_rate_steps: int = field(default=100, metadata=LATER)
    pace: Literal["none", "pace", "fast"] = field(default="none", metadata=LATER)
    pace_lambda: Annotated[float, positive] = field(default=0.1, metadata=LATER)
    pace_sigma: Annotated[float, positive] = field(default=1.0, metadata=LATER)

    def __post_init__(self) -> None:
        check_bounds(self)
        check(
            self.warmup_epochs < self.epochs,
            f"warmup_epochs={self.warmup_epochs} must be from 0 to epochs - 1 = {self.epochs - 1}",
        )
        check(
            self.checkpoint_rule != "best_val" or self.train_split == "train",
            "checkpoint_rule=best_val chooses the epoch on val; add train_split=train, which keeps val out of training",
        )

        moved = [name for name in ("pace_lambda", "pace_sigma") if getattr(self, name) != getattr(Recipe, name)]
        check(self.pace != "none" or not moved, f"{moved[:1]} is of PACE, which is off; add pace=pace, or leave it out")
        check(
            self.pace == "none" or not self.compile,
            f"pace={self.pace} changes modules between passes, so steps cannot be compiled; leave compile out",
        )

    @property
    def changes_images(self) -> bool:
        """Whether images are augmented in training."""
        return any(getattr(self, name) != plain for name, plain in FOR_IMAGES.items())

    @property
    def augmented(self) -> bool:
        """Whether a training sample differs from step to step."""
        return self.changes_images or self.augment != "none" or self.resample


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One run. Equal specs give equal numbers on the same code and machine.

    Attributes:
        method: the name of the method, as in ``methods.METHODS``.
        config: the method's options, learning rate and weight decay among them.
        backbone: the frozen backbone and the digest of its weights.
        suite: the name of the suite, as in ``benchmarks.suites.SUITES``.
        suite_version: the version of the suite. Numbers of two versions are never compared.
        task: the name of the task within the suite.
        classes: the number of classes of the task.
        data_fingerprint: the SHA-256 of all samples and labels of the task that a run of this seed sees.
        recipe: how the method is trained.
        seed: the seed of new weights, of the order of samples, and of every other random number of the run.
        dtype: the type that matrix products are computed in.
        kind: what is predicted: one class per sample, or one part per point.
        tuning: the study that chose ``config``, or None. The record shows it, but it is not part of the key: how a
            configuration was found does not change the run.
        labels: the names of the classes in the order of the model's outputs; None in runs that are older than this
            field. Record and task file show them. They are not part of the key, because names do not change the run.
        method_digest: the digest of the method's code (``methods.source``); None if it is not known. The record has it,
            so that ``run`` notices a change of the code. It is not part of the key: the new record takes the old one's
            place.
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
    suite_version: int = field(default=1, metadata=LATER)
    kind: KindName = field(default="classification", metadata=LATER)
    tuning: dict[str, Any] | None = field(default=None, compare=False)
    labels: tuple[str, ...] | None = field(default=None, compare=False)
    method_digest: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("suite", "task", "method"):
            check_part(name, getattr(self, name))
        check(0 <= self.seed < SEEDS, f"seed {self.seed} must be from 0 to {SEEDS - 1}")
        kinds = ("point clouds", "images")
        foreign, (kind, own) = (
            (FOR_POINTS, kinds) if self.backbone.modality == "image" else (FOR_IMAGES | FOR_FILES, kinds[::-1])
        )
        for name, plain in foreign.items():
            value = getattr(self.recipe, name)
            misfit = f"is for {kind}, but task '{self.task}' has {own}"
            check(value == plain, f"recipe: {name}={str(value).lower()} {misfit}; use {name}={str(plain).lower()}")
        per_point = self.kind == "segmentation"
        shuffled = (
            f"recipe: resample=true draws points without their labels, but task '{self.task}' has a label per point"
        )
        check(not (per_point and self.recipe.resample), f"{shuffled}; use resample=false")

    def to_json(self) -> dict[str, Any]:
        """All fields that are compared. A field marked LATER is left out at its default, so old keys hold."""
        beside = {one.name for one in dataclasses.fields(self) if not one.compare}
        return {name: value for name, value in as_json(self).items() if name not in beside}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Spec:
        """The inverse of ``to_json``, also after JSON has turned tuples into lists."""
        from benchmarks.backbones import Source

        backbone: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["backbone"].items()}
        config = methods.config(values["method"], values["config"])
        replaced = {"backbone": Source(**backbone), "config": config, "recipe": Recipe(**values["recipe"])}
        return cls(**(values | replaced))

    @property
    def key(self) -> str:
        """16 hexadecimal digits that identify this spec."""
        return key_of(self.to_json())

    @property
    def stem(self) -> str:
        """The path of this run's files below their folder, without the ending."""
        return stem_of(vars(self), self.key)

    def __str__(self) -> str:
        return f"{self.method} on {self.task}, seed {self.seed}"


def key_of(spec: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of the SHA-256 over the canonical JSON of a spec and the schema version."""
    values = {"schema_version": SCHEMA_VERSION, **spec}
    # the digest identifies the weights, so the path of their file does not count
    values["backbone"] = values["backbone"] | {"name": parse(values["backbone"]["name"]).plain}
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stem_of(spec: Mapping[str, Any], key: str) -> str:
    """The path of a run's files below their folder, without the ending, from the JSON of its spec."""
    return f"{spec['suite']}/{spec['task']}/{spec['method'].replace(':', '-')}-s{spec['seed']}-{key}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of a finished run. Accuracies are fractions from 0 to 1; other units are in the names.

    Attributes:
        spec: the run.
        history: one dict per epoch: "epoch" (from 1), "train_loss" (mean), "lr" (of the last step), "val_accuracy" and
            "test_accuracy" (by the task's metric; None if the split was not read in that epoch).
        accuracy: "test" and "val" (None if val was trained on) of the merged model, "test_samples", and
            "checkpoint_rule" with the "epoch" that it selected. "metric" names the number where it is not accuracy.
            "others" has further numbers by name: of other test sets, or by other metrics.
        params: trainable parameters of the "method", the "head" and both ("trainable"), all parameters of the
            "backbone", and "task_file_bytes", the size of the task file.
        cost: "train_seconds", "peak_memory_bytes", median "step_ms" of each part of a step, "images_per_second" in
            training, "flops_per_image" (forward, as executed; training step), and "latency_ms" of one sample (unmerged;
            merged).
        environment: the version and commit of the code, package versions, threads, device and dtype.
        report: what the method adds about itself.
        status: always "finished"; unfinished runs have no record.
    """

    spec: Spec
    history: list[dict[str, float | int | None]]
    accuracy: dict[str, Any]
    params: dict[str, int]
    cost: dict[str, Any]
    environment: dict[str, Any]
    report: dict[str, Any] = field(default_factory=dict)
    status: str = field(default="finished", init=False)

    def to_json(self) -> dict[str, Any]:
        """The content of the record's file, without its digest."""
        beside = {name: getattr(self.spec, name) for name in ("tuning", "labels", "method_digest")}
        values = dataclasses.asdict(self) | {"spec": self.spec.to_json()} | beside
        return {"schema_version": SCHEMA_VERSION, "key": self.spec.key, **values}
