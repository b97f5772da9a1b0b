"""The tuner types of Hugging Face PEFT by name, with configurations as other methods have them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from methods import base
from methods.errors import UserError, check, unknown

if TYPE_CHECKING:
    import optuna

PREFIX = "hf:"
QKV = ("attn.qkv",)
TARGETS = {"ia3": ("attn.qkv", "mlp.fc2"), "ln_tuning": ("norm1", "norm2")}  # all other types: QKV
ALIASES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "dora": ("lora", {"use_dora": True}),
    "pissa": ("lora", {"init_lora_weights": "pissa"}),
    "rslora": ("lora", {"use_rslora": True}),
}
FIXED: Mapping[str, Mapping[str, object]] = {
    "adalora": {"r": 8, "total_step": 10**9},  # PEFT ignores this rank; training sets the number of steps
    "frod": {"progressbar": False},
}
UNSUITED = {  # beside all types that learn prompts
    "adaption_prompt": "it prompts the attention of language models",
    "poly": "its forward pass asks for the number of a task",
    "shadow": "it mirrors the decoder of a language model",
    "trainable_tokens": "it trains rows of an embedding of words",
    "xlora": "it mixes adapters that were trained before",
}
# options that have no use in a vision transformer, that the harness handles, or that need other modules' configurations
HIDDEN = {
    *("adapters", "alora_invocation_tokens", "ensure_weight_tying", "exclude_modules", "fan_in_fan_out"),
    *("layer_replication", "layers_pattern", "megatron_core", "modules_to_save", "qalora_group_size"),
    *("runtime_offload_base_weight", "target_parameters", "token_indices", "trainable_token_indices", "use_qalora"),
    *("use_asa", "asa_target_subspaces", "asa_importance_beta", "asa_uncertainty_beta", "asa_schedule_exponent"),
    *("init_warmup", "final_warmup", "mask_interval"),  # with use_asa: a schedule for special trainers
}
NEEDS_DATA = {"corda", "eva", "loftq", "lora_ga"}  # initialisations that need data


def library() -> Any:
    """The package peft.

    Raises:
        UserError: peft, or a package that it needs, is not installed; the message says how to get it.
    """
    try:
        return import_module("peft")
    except ImportError as error:
        raise UserError(
            f"methods '{PREFIX}*' need Hugging Face PEFT ({error}); pip install 'peft-vision-bench[hf]'"
        ) from None


@cache
def kinds() -> dict[str, type]:
    """PEFT's own configuration class of every type that works in the linears of a vision transformer."""
    peft, mapping = library(), import_module("peft.mapping")
    found = {
        kind.value.lower(): config
        for kind, config in mapping.PEFT_TYPE_TO_CONFIG_MAPPING.items()
        if kind in mapping.PEFT_TYPE_TO_TUNER_MAPPING and not issubclass(config, peft.PromptLearningConfig)
    }
    aliases = {alias: found[kind] for alias, (kind, _) in ALIASES.items() if kind in found}
    return {kind: found.get(kind) or aliases[kind] for kind in sorted({*found, *aliases} - set(UNSUITED))}


@dataclass(frozen=True, kw_only=True)
class HFConfig(base.Config):
    """The fields of one of PEFT's configurations, under PEFT's names. Targets are names of modules within a block.

    Fields that have no plain value (patterns, nested configurations) and those in HIDDEN are left out.
    """

    kind: ClassVar[str]
    lr: float = 5e-3
    target_modules: tuple[str, ...] = QKV
    layers_to_transform: tuple[int, ...] = ()  # () stands for all

    def __post_init__(self) -> None:
        base.Config(lr=self.lr, weight_decay=self.weight_decay)  # checks lr and weight_decay; PEFT checks the rest
        check(bool(self.target_modules), "target_modules=() is empty; name modules of a block, as in attn.qkv")
        self.peft(["block"])

    def peft(self, blocks: Sequence[str]) -> Any:
        """PEFT's configuration for a backbone whose blocks have these names.

        Raises:
            UserError: PEFT refuses a value.
        """
        # layers that the backbone lacks are refused where it is known
        layers = [n for n in self.layers_to_transform or range(len(blocks)) if 0 <= n < len(blocks)] or [0]
        own = {f.name for f in dataclasses.fields(base.Config)} | {"layers_to_transform"}
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in own}
        for name in {"target_modules", "feedforward_modules"} & set(values):
            # whole names, because modules outside the blocks may have the same short name
            values[name] = [f"{blocks[layer]}.{target}" for layer in layers for target in values[name]]
        lists = {name: list(value) or None for name, value in values.items() if isinstance(value, (tuple, list))}
        try:
            return kinds()[self.kind](**(values | lists | _fixed(self.kind)))
        except (TypeError, ValueError) as error:
            raise UserError(" ".join(str(error).split())) from None

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        """Draw the common fields, and the field that decides the size as half, once or twice its default."""
        sizes = {f.name: f.default for f in dataclasses.fields(cls) if f.name in ("r", "n_frequency")}
        chosen: dict[str, Any] = {
            name: trial.suggest_categorical(name, [max(1, size // 2), size, 2 * size])
            for name, size in sizes.items()
            if isinstance(size, int) and size > 0
        }
        return cls(**base.suggest_common(trial), **chosen)


def make(kind: str) -> type[HFConfig]:
    """Make the configuration class of a type.

    Raises:
        UserError: unknown type, a type that does not work here, or PEFT is not installed.
    """
    check(kind not in UNSUITED, f"method '{PREFIX}{kind}' does not work here: {UNSUITED.get(kind)}")
    if kind not in kinds():
        raise UserError(unknown("method", PREFIX + kind, [PREFIX + name for name in kinds()]))
    hints, targets = typing.get_type_hints(kinds()[kind]), TARGETS.get(kind, QKV)
    defaults = {"target_modules": targets, "feedforward_modules": targets[1:]}
    own = {f.name for f in dataclasses.fields(HFConfig)} | {f.name for f in dataclasses.fields(library().PeftConfig)}
    fields: list[Any] = [("target_modules", tuple[str, ...], field(default=targets))]
    for theirs in dataclasses.fields(kinds()[kind]):
        hint = _plain(hints[theirs.name])
        if hint is not None and theirs.name not in HIDDEN | own | set(_fixed(kind)):
            default = theirs.default if typing.get_origin(hint) is not tuple else defaults.get(theirs.name, ())
            fields.append((theirs.name, hint, field(default=default)))
    # the name and the module under which pickle finds it
    inside = {"kind": kind, "__doc__": f"PEFT's options of {PREFIX}{kind}.", "__module__": "methods.hf"}
    name = f"{kind}_options"
    return dataclasses.make_dataclass(name, fields, bases=(HFConfig,), namespace=inside, frozen=True, kw_only=True)


def _fixed(kind: str) -> dict[str, object]:
    """The options of a type that a person cannot choose."""
    return {**FIXED.get(kind, {}), **ALIASES.get(kind, (kind, {}))[1]}


def _plain(hint: Any) -> Any:
    """The type of a field of PEFT here, or None if it has no plain type. A list, optional or not, becomes a tuple."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    optional, options = type(None) in options, tuple(o for o in options if o is not type(None))
    choices = [value for o in options if typing.get_origin(o) is Literal for value in typing.get_args(o)]
    if choices:
        named = [value for value in choices if value not in NEEDS_DATA and "[" not in str(value)]
        return Literal[tuple([True, False, *named] if bool in options else named)]
    for o in options:
        if typing.get_origin(o) is list and typing.get_args(o)[0] in (int, str):
            return types.GenericAlias(tuple, (typing.get_args(o)[0], ...))
    for simple in (int, float, bool, str):
        if simple in options:
            return simple | None if optional else simple
    return None
