"""What a method is: its hyper-parameters, the backbone that it acts on, and how it acts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

import torch
from torch import Tensor, nn

from methods import hooks, options
from methods.backbone import Backbone
from methods.errors import check
from methods.hooks import Tap, TokenMap
from methods.options import check_bounds, positive
from methods.protocols import Criterion, Model, Trainer

if TYPE_CHECKING:
    import optuna

Merges = Literal["yes", "no", "in part"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of a method. A method's own Config adds fields with their bounds, and may change defaults."""

    lr: Annotated[float, positive] = 1e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        check_bounds(self)

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        """Draw a configuration from the search space of this method."""
        return cls(**suggest_common(trial))

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Build a configuration from names and values as a command line or JSON gives them.

        Raises:
            UserError: unknown field, wrong type, or a value out of range; the message says what is allowed.
        """
        return options.parse(cls, values)


@dataclasses.dataclass(frozen=True)
class Published:
    """Parameter counts as papers print them.

    Counts on images leave the head out. Counts on points include the head for 15 classes. ``options`` are the options
    of these counts that differ from the defaults here.
    """

    image: str = ""
    points: str = ""
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)


def suggest_common(trial: optuna.Trial) -> dict[str, Any]:
    """Draw the fields that every method searches over, from the same ranges for all."""
    return {
        "lr": trial.suggest_float("lr", 1e-4, 3e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
    }


AnyConfig: TypeAlias = Config  # inside Method the name Config is the class attribute


class Method(nn.Module):
    """Owns every new weight and acts on a frozen backbone through forward hooks.

    A subclass wires itself in ``__init__`` with ``before``, ``after``, ``beside`` and ``unfreeze``. Every other method
    below has a default that fits most. The functions given to the hooks must be modules, bound methods of modules, or
    partials of functions, because deepcopy does not copy a closure. The class attributes say what the method promises.
    The contract tests read them and compare them with what happens.
    """

    Config: ClassVar[type[AnyConfig]] = Config
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "points"})
    identity_at_start: ClassVar[bool] = True  # the wired, untrained model computes what the frozen backbone does
    pretrained: ClassVar[bool] = True  # False: build the backbone with fresh weights
    trains_head_alone: ClassVar[bool] = False  # neither new weights nor the backbone's train
    needs_attention: ClassVar[bool] = False  # a backbone whose blocks have no attention is refused
    needs_grid: ClassVar[bool] = False  # a backbone whose blocks state no grid of patches, as ConvNeXt, is refused
    cost_varies: ClassVar[bool] = False  # the operations of inference depend on the sample: more samples are measured
    stochastic_backbone: ClassVar[bool] = True  # False: the backbone stays in eval mode, drop-path included
    reads_clouds: ClassVar[bool] = False  # True: it reads whole clouds, so no cloud is grouped before training
    # After ``merge``: yes: the backbone alone computes the features; in part: fewer hooks are left; no: all are left.
    merges: ClassVar[Merges] = "no"
    published: ClassVar[Published] = Published()  # these counts belong to this class and not to its subclasses
    pooled_options: ClassVar[frozenset[str]] = frozenset()  # options that only a head of pooled features sees
    extra_features: int = 0  # how many more features the head sees than there are pooled ones; negative for fewer
    silent: frozenset[str] = frozenset()  # names of own weights without a gradient: nothing reads what they make
    injected: frozenset[str] = frozenset()  # names of weights and buffers that are new in the backbone's own state

    def __init__(self, backbone: Backbone, config: AnyConfig) -> None:
        super().__init__()
        self.config = config
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._originals: list[tuple[Tensor, Tensor]] = []
        self.depth, self.resumable = len(backbone.blocks), backbone.resumable  # of the backbone, for the trainer
        for _, parameter in backbone.named_parameters():
            parameter.requires_grad_(False)

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        """The names of the backbone's parameters that train, under the default options."""
        return set()

    def before(self, module: nn.Module, f: TokenMap, *, tokens: bool = False) -> None:
        """Make ``module(x)`` compute ``module(f(x))``. ``tokens`` says that f exchanges tokens, such as prompts."""
        change = hooks.exchange_tokens if tokens else hooks.change_input
        self._handles.append(module.register_forward_pre_hook(partial(change, f)))

    def after(self, module: nn.Module, f: TokenMap, *, tokens: bool = False) -> None:
        """Make ``module(x)`` compute ``f(module(x))``. ``tokens`` says that f exchanges tokens."""
        change = hooks.exchange_output_tokens if tokens else hooks.change_output
        self._handles.append(module.register_forward_hook(partial(change, f)))

    def instead(self, module: nn.Module, f: TokenMap) -> None:
        """Make ``module(x)`` compute ``f(x)``. The module still runs, but nothing uses what it computes."""
        self._handles.append(module.register_forward_hook(partial(hooks.replace_output, f)))

    def beside_rows(self, linear: nn.Linear, rows: slice, f: TokenMap) -> None:
        """Make these output features of ``linear(x)``, such as those of q in a fused qkv, compute theirs plus f(x)."""
        self._handles.append(linear.register_forward_hook(partial(hooks.add_beside_rows, f, rows)))

    def beside(self, module: nn.Module, f: TokenMap, *, source: nn.Module | None = None) -> None:
        """Make ``module(x)`` compute ``module(x) + f(x)``. With ``source``, f reads the input of that earlier module.

        Beside a linear, an ``f`` that has ``add_to(output, x)`` adds itself, in place.
        """
        if source is None:
            add = hooks.add_beside
            if isinstance(module, nn.Linear):
                add = hooks.add_by_itself if hasattr(f, "add_to") else hooks.add_beside_linear
            self._handles.append(module.register_forward_hook(partial(add, f)))
            return
        tap = Tap()
        self._handles.append(source.register_forward_pre_hook(partial(hooks.fill_tap, tap)))
        self._handles.append(module.register_forward_hook(partial(hooks.add_tapped, f, tap)))

    def add_before(self, module: nn.Module, f: TokenMap, *, source: nn.Module) -> None:
        """Make ``module(x)`` compute ``module(x + f(y))``, where y is the input of the earlier module ``source``."""
        tap = Tap()
        self._handles.append(source.register_forward_pre_hook(partial(hooks.fill_tap, tap)))
        self._handles.append(module.register_forward_pre_hook(partial(hooks.add_tapped_before, f, tap)))

    def read(self, module: nn.Module, f: Callable[[Tensor], None]) -> None:
        """Give f the input of ``module``, and change nothing."""
        self._handles.append(module.register_forward_pre_hook(partial(hooks.read_input, f)))

    def read_output(self, module: nn.Module, f: Callable[[Tensor], None]) -> None:
        """Give f the output of ``module``, and change nothing."""
        self._handles.append(module.register_forward_hook(partial(hooks.read_output, f)))

    def admit_prompts(self, backbone: Backbone, method: str) -> None:
        """Let the blocks take prompts: tokens (B, P, D) at the end of a sequence, within one stage.

        Raises:
            UserError: the blocks cannot take any; the message starts with ``method``.
        """
        check(not backbone.no_prompts, f"{method}: {backbone.no_prompts}")
        for module, hook in backbone.prompt_hooks:
            self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def acted_on(self, body: nn.Module) -> dict[str, nn.Module]:
        """The modules of the backbone that this method acts on, by name."""
        return {name: m for name, m in body.named_modules() if m._forward_hooks or m._forward_pre_hooks}

    def unfreeze(self, parameters: Iterable[nn.Parameter]) -> None:
        """Train these parameters of the backbone in place; ``detach`` puts their first values back."""
        for parameter in parameters:
            parameter.requires_grad_(True)
            self.remember(parameter, parameter.detach().clone())

    def remember(self, tensor: Tensor, value: Tensor) -> None:
        """Let ``detach`` put this value back into a parameter or a buffer of the backbone."""
        self._originals.append((tensor, value))

    def detach(self) -> None:
        """Give the backbone back as it was: no hooks, its first values, frozen."""
        self.remove_hooks()
        with torch.no_grad():
            for tensor, original in self._originals:
                tensor.copy_(original)
                tensor.requires_grad_(False)
        self._originals.clear()

    def remove_hooks(self) -> None:
        """Take every hook of this method off the backbone."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def param_groups(self, model: Model) -> list[dict[str, Any]]:
        """The optimizer's parameter groups. Vectors, tokens and prompts get no weight decay."""
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

    def loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """The training loss of one batch. Override it for extra terms, second passes or subnet draws.

        ``model`` maps the batch to logits (B, classes). A loss may only call it: where the output of the first blocks
        is kept, ``model`` is the rest of the classifier.
        """
        return criterion(model(x), y)

    def untouched(self, depth: int) -> int:
        """The number of leading blocks, of ``depth`` blocks, whose output equals that of the frozen backbone.

        ``depth`` says that the pooled features are equal too. The trainer may compute these blocks once and not in
        every epoch. Override it in a method that leaves the first blocks alone.
        """
        return 0

    def fit(self, trainer: Trainer) -> None:
        """Train from start to end. Override it for stages."""
        trainer.keep_prefix()
        trainer.train()

    def epochs(self, epochs: int) -> float:
        """The cost of a run in epochs of plain training, for a recipe of ``epochs``. Override it for stages."""
        return epochs

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """What the record says about the trained method: JSON values by name."""
        return {"prefix": dict(trainer.prefix)} if trainer.prefix else {}

    def settle(self, report: Mapping[str, Any]) -> str:
        """Wire what ``fit`` leaves, as ``report`` of a trained method tells it, without data: to count what trains.

        Override it if ``fit`` changes how many weights train. Returns what the report does not tell; empty if nothing.

        Raises:
            UserError: no ``fit`` reports that.
        """
        return ""

    def features(self, pooled: Tensor) -> Tensor:
        """What the head sees: (B, head_hidden_size) -> (B, head_hidden_size + extra_features).

        A head that segments sees patch tokens instead. There the result is not used.
        """
        return pooled

    def merge(self) -> None:
        """Fold the new weights into the backbone where that is exact. The default keeps every hook."""

    def pack(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The form in which a task file holds this method's state. Override it to store fewer bytes."""
        return state

    def unpack(self, packed: dict[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of ``pack``. It may change the untrained method so that the state fits it."""
        return packed

    @property
    def folded(self) -> bool:
        """Whether the backbone alone computes the features. ``merge`` can make it so."""
        return not self._handles and not self.injected and not self.extra_features
