"""What a method may ask of the model and of the trainer of its run. The harness satisfies these protocols.

Shapes: B samples.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn

Criterion: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # logits (B, classes) and labels (B,) to a scalar


class Model(Protocol):
    """Backbone, method and head as one classifier: images or points to logits (B, classes)."""

    def __call__(self, x: Tensor) -> Tensor: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def eval(self) -> object: ...
    def features(self, x: Tensor) -> Tensor:
        """What the head sees."""

    def trained_state(self) -> dict[str, Tensor]:
        """A copy of every tensor that trains, by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> object: ...


class Schedule(Protocol):
    """What a method may ask of the recipe of a run."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...


class Trainer(Protocol):
    """What a method may ask of the trainer of its run. There is no way to the test split."""

    @property
    def model(self) -> Model: ...
    @property
    def recipe(self) -> Schedule: ...
    @property
    def seed(self) -> int: ...
    @property
    def x(self) -> Tensor:
        """The training samples, or the tokens that are kept of them."""

    @property
    def y(self) -> Tensor:
        """The labels of the training samples."""

    @property
    def eval_batch_size(self) -> int: ...
    @property
    def prefix(self) -> dict[str, int]:
        """Where the kept tokens enter the backbone, and their bytes; empty where none are kept."""

    def train(self) -> None:
        """Train by the recipe."""

    def validate(self) -> float:
        """Return the accuracy on the validation split, from 0 to 1."""

    def restart(self) -> None:
        """Put back the weights and the random numbers of the start."""

    def stage(self, name: str, *, epochs: int, lr: float, split: str) -> dict[str, Any]:
        """Train on one split before ``restart`` and ``train``; return what it cost."""

    def gradients(
        self,
        parameters: Sequence[nn.Parameter],
        loss: Callable[[Any, Tensor, Tensor], Tensor] | None = None,
        *,
        batches: int | None = None,
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield the gradients of frozen parameters, batch by batch of the training samples; call ``restart`` after it.

        ``loss`` maps the model, inputs and labels to a scalar; by default it is that of training.
        """

    def keep(self, name: str, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Keep the outcome of a stage for a repetition of this run."""

    def kept(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return what an earlier, unfinished execution of this run kept."""

    def tell(self, stage: str, done: int, total: int) -> None:
        """Report how far a stage is."""

    def keep_prefix(self) -> None:
        """Compute the blocks that no epoch changes once, and train from their output."""
