"""What a method is: its hyper-parameters, the backbone it may touch, and the hooks it acts through."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias

import torch
from torch import Tensor, nn

from methods import options

if TYPE_CHECKING:
    import optuna

    from benchmarks.training.model import Tuned
    from benchmarks.training.train import Trainer

Modality = Literal["image", "points"]
TokenMap = Callable[[Tensor], Tensor]


class Backbone(Protocol):
    """A frozen vision transformer. timm's VisionTransformer satisfies this as it is.

    ``blocks`` each hold norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2, drop_path1 and drop_path2. Calling it
    maps images (B, 3, H, W) or points (B, N, 3) to pooled features (B, head_hidden_size).
    """

    blocks: Sequence[Any]
    norm: nn.Module
    cls_token: nn.Parameter
    num_features: int
    head_hidden_size: int

    def __call__(self, x: Tensor) -> Tensor: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def modules(self) -> Iterator[nn.Module]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of a method; a method's own Config adds fields and narrows the defaults."""

    lr: float = 1e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
                raise ValueError(f"{field.name}={value} must be a finite number that is not negative")
        if self.lr == 0:
            raise ValueError("lr=0 would train nothing; give a positive learning rate")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        """Draw a configuration from the search space of this method."""
        return cls(**suggest_common(trial))

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Build from names and values as a command line or JSON gives them.

        Raises:
            ValueError: unknown field, wrong type, or a value out of range; the message says what is allowed.
        """
        return options.parse(cls, values)


@dataclasses.dataclass(frozen=True)
class Published:
    """Counts as papers print them, and the options they were counted with where these are not the defaults.

    On images without the head, on points with the one for 15 classes.
    """

    image: str = ""
    points: str = ""
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)


def suggest_common(trial: optuna.Trial) -> dict[str, Any]:
    """The fields that every method searches over, from the same ranges."""
    return {
        "lr": trial.suggest_float("lr", 1e-4, 3e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
    }


AnyConfig: TypeAlias = Config  # inside Method the name Config is the class attribute


class Tap:
    """One tensor handed from one place of a forward pass to a later one; never copied, never saved."""

    def __init__(self) -> None:
        self.value: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Tap:
        return Tap()

    def take(self) -> Tensor:
        """The tensor; the tap is empty afterwards."""
        value, self.value = self.value, None
        assert value is not None, "nothing has passed this tap since it was last taken"
        return value


# Hooks are partials of these functions, because deepcopy copies a partial's arguments and never a closure's.
def _call_before(f: TokenMap, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (f(args[0]), *args[1:])


def _call_after(f: TokenMap, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return f(output)


def _call_beside(f: TokenMap, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + f(args[0])


def _add_beside(f: TokenMap, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    # no linear needs its output again, and a new tensor of this size would cost as much as the sum
    return output.add_(f(args[0]))


def _add_in_place(f: Any, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    added: Tensor = f.add_to(output, args[0])
    return added


def _fill(tap: Tap, module: nn.Module, args: tuple[Tensor, ...]) -> None:
    tap.value = args[0]


def _add_tapped(f: TokenMap, tap: Tap, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + f(tap.take())


class Method(nn.Module):
    """Owns every new weight and acts on a frozen backbone through forward hooks.

    Subclasses wire themselves in ``__init__`` with ``before``, ``after``, ``beside`` and ``unfreeze``; each other
    method below has a default that fits most. The functions handed to the hooks must be modules, bound methods of
    modules, or partials of functions (a closure would not follow a deepcopy).
    """

    Config: ClassVar[type[AnyConfig]] = Config
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "points"})
    identity_at_start: ClassVar[bool] = True  # the wired, untrained model computes what the frozen backbone does
    pretrained: ClassVar[bool] = True  # False: build the backbone with fresh weights
    stochastic_backbone: ClassVar[bool] = True  # False: the backbone stays in eval mode, drop-path included
    published: ClassVar[Published] = Published()  # of this very class: a kin of it has its own
    extra_features: int = 0  # features that ``features`` appends to the pooled ones
    injected: frozenset[str] = frozenset()  # names of weights and buffers that are new in the backbone's own state

    def __init__(self, backbone: Backbone, config: AnyConfig) -> None:
        super().__init__()
        self.config = config
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._unfrozen: list[tuple[nn.Parameter, Tensor]] = []
        for parameter in backbone.parameters():
            parameter.requires_grad_(False)

    def before(self, module: nn.Module, f: TokenMap) -> None:
        """Make ``module(x)`` compute ``module(f(x))``."""
        self._handles.append(module.register_forward_pre_hook(partial(_call_before, f)))

    def after(self, module: nn.Module, f: TokenMap) -> None:
        """Make ``module(x)`` compute ``f(module(x))``."""
        self._handles.append(module.register_forward_hook(partial(_call_after, f)))

    def beside(self, module: nn.Module, f: TokenMap, *, source: nn.Module | None = None) -> None:
        """Make ``module(x)`` compute ``module(x) + f(x)``; with ``source``, f reads that earlier module's input.

        Beside a linear, an ``f`` that has ``add_to(output, x)`` adds itself, in place.
        """
        if source is None:
            add = _call_beside
            if isinstance(module, nn.Linear):
                add = _add_in_place if hasattr(f, "add_to") else _add_beside
            self._handles.append(module.register_forward_hook(partial(add, f)))
            return
        tap = Tap()
        self._handles.append(source.register_forward_pre_hook(partial(_fill, tap)))
        self._handles.append(module.register_forward_hook(partial(_add_tapped, f, tap)))

    def unfreeze(self, parameters: Iterable[nn.Parameter]) -> None:
        """Train these parameters of the backbone in place; ``detach`` puts their first values back."""
        for parameter in parameters:
            parameter.requires_grad_(True)
            self._unfrozen.append((parameter, parameter.detach().clone()))

    def detach(self) -> None:
        """Give the backbone back as it was: no hooks, its first values, frozen."""
        self.remove_hooks()
        with torch.no_grad():
            for parameter, original in self._unfrozen:
                parameter.copy_(original)
                parameter.requires_grad_(False)
        self._unfrozen.clear()

    def remove_hooks(self) -> None:
        """Unwire; for ``merge`` and ``detach``."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def param_groups(self, model: Tuned) -> list[dict[str, Any]]:
        """Optimizer groups of everything that trains; vectors and tokens get no weight decay."""
        decayed: list[nn.Parameter] = []
        free: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                token = name.endswith(("_token", "_pos", "pos_embed", "prompts"))
                (free if parameter.ndim <= 1 or token else decayed).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def loss(self, model: Tuned, x: Tensor, y: Tensor, criterion: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The training loss of one batch; override for extra terms, second passes or subnet draws."""
        return criterion(model(x), y)

    def untouched(self, depth: int) -> int:
        """How many of the first of ``depth`` blocks compute what the frozen backbone's do, on what its compute.

        All of them: the pooled features are the frozen backbone's as well. What they compute is kept then, and not
        computed in every epoch. Override in a method that acts from some later block on.
        """
        return 0

    def fit(self, trainer: Trainer) -> None:
        """The story of one run; override for stages."""
        trainer.keep_prefix()
        trainer.train()

    def epochs(self, epochs: int) -> float:
        """How many epochs of training a run of a recipe of so many is worth; to plan with. Override for stages."""
        return epochs

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """What a trained method can tell of itself, for the record: JSON values by name. Never reads the test split."""
        return {"prefix": dict(trainer.prefix)} if trainer.prefix else {}

    def features(self, pooled: Tensor) -> Tensor:
        """What the head sees: (B, head_hidden_size) -> (B, head_hidden_size + extra_features)."""
        return pooled

    def merge(self) -> None:
        """Fold the new weights into the backbone where that is exact; the default keeps the hooks."""

    def pack(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a task file holds of this method's state: the same unless a method stores it in fewer bytes."""
        return state

    def unpack(self, packed: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state that ``pack`` packed; may leave this method, as yet untrained, in the form that it belongs to."""
        return packed

    @property
    def folded(self) -> bool:
        """Whether the backbone alone computes the features: asked after ``merge``."""
        return not self._handles and not self.injected and not self.extra_features
