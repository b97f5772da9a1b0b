"""Write LoRA in the files of Hugging Face PEFT, adapter_model.safetensors and adapter_config.json, and read them.

PEFT itself is not needed. Shapes: D token width, r rank. For the fused qkv PEFT has one A (r, D) and one B (3 D, r),
where LoRA here has a pair for each of q, k and v. PEFT's pair holds these side by side: B is zero where its rows and
its columns belong to different parts.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from methods.base import Method
from methods.errors import UserError, check
from methods.lora import PARTS, FusedLowRank, LoRA, LoRAConfig
from methods.parts.layers import LowRank

PREFIX = "base_model.model."
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
ENDINGS = (".lora_A.weight", ".lora_B.weight")
ALL_TARGETS = (*PARTS, "proj", "fc1", "fc2")
KEEPING = (True, False, "gaussian", "eva", "orthogonal")  # initialisations that leave the backbone's weights alone
# options of PEFT that make its LoRA another function or train something else
FOREIGN = (
    *("alora_invocation_tokens", "arrow_config", "fan_in_fan_out", "kasa_config", "layer_replication", "lora_bias"),
    *("monteclora_config", "target_parameters", "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora"),
    "velora_config",
)


class Pair(NamedTuple):
    """The update scale * up @ down of one linear."""

    down: Tensor
    up: Tensor
    scale: float


class Folder(NamedTuple):
    """The content of a folder in PEFT's layout: pairs by the name of their linear, and the other tensors."""

    pairs: dict[str, Pair]
    rest: dict[str, Tensor]


@torch.no_grad()
def contents(
    method: Method, backbone: nn.Module, head: nn.Module, metadata: Mapping[str, str]
) -> dict[str, bytes | str]:
    """The files of an unmerged LoRA and its head, which is one of PEFT's "modules to save", by their names.

    Raises:
        UserError: the method is not LoRA.
    """
    if not isinstance(method, LoRA):
        raise UserError("only the updates of lora can be written in PEFT's layout")
    names = {id(module): name for name, module in backbone.named_modules()}
    state = {f"{PREFIX}head.{name}": tensor for name, tensor in head.state_dict().items()}
    for linear, update in method.wired:
        name = names[id(linear)]
        state |= zip((f"{PREFIX}{name}{ending}" for ending in ENDINGS), _side_by_side(update, name), strict=True)
    content = save({name: t.cpu().contiguous() for name, t in state.items()}, {"format": "pt", **metadata})
    places = dict.fromkeys(re.sub(r".*\bblocks\.\d+\.", "", names[id(linear)]) for linear, _ in method.wired)
    text = json.dumps(_config(cast(LoRAConfig, method.config), list(places)), indent=2)
    return {WEIGHTS: content, CONFIG: text + "\n"}


def read(folder: Path) -> Folder:
    """Read a folder that PEFT has written, or that has the files of ``contents``.

    Raises:
        UserError: files are missing or damaged, or hold something that the LoRA here does not have.
    """
    config, rest = _files(folder)
    check(config.get("peft_type") == "LORA", f"{folder} holds {config.get('peft_type')}, not LORA")
    foreign = [f"{name}={config[name]}" for name in FOREIGN if config.get(name)]
    foreign += [f"bias={config['bias']}"] if config.get("bias", "none") != "none" else []
    check(not foreign, f"{folder} holds a LoRA that this one does not cover: {', '.join(foreign)}")
    start = config.get("init_lora_weights", True)
    check(
        start in KEEPING,
        f"{folder} was trained on changed weights of the backbone: init_lora_weights={start}; let PEFT convert it with "
        "save_pretrained(..., path_initial_model_for_weight_conversion=...)",
    )
    pairs = {}
    for name in sorted({key.removesuffix(ending) for key in rest for ending in ENDINGS if key.endswith(ending)}):
        lacking = [name + ending for ending in ENDINGS if name + ending not in rest]
        check(not lacking, f"{folder / WEIGHTS} is damaged: it has no {', '.join(lacking)}")
        down, up = (rest.pop(name + ending) for ending in ENDINGS)
        sizes = f"A of {name} is {tuple(down.shape)} and its B {tuple(up.shape)}"
        fits = down.ndim == up.ndim == 2 and 0 < len(down) == up.shape[1]
        check(fits, f"{folder / WEIGHTS} is damaged: {sizes}; they must be (rank, in) and (out, rank)")
        pairs[name] = Pair(down, up, _scale(config, name, len(down), folder / CONFIG))
    return Folder(pairs, rest)


def _files(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    check(not missing, f"cannot read {folder} as PEFT's layout: it has no file {', '.join(missing)}")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with safe_open(str(folder / WEIGHTS), framework="pt") as file:
            tensors = {name.removeprefix(PREFIX): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise UserError(f"cannot read {folder} as PEFT's layout: {error}") from None
    check(isinstance(config, dict), f"cannot read {folder} as PEFT's layout: {CONFIG} holds no names and values")
    return config, tensors


def fitting(pairs: Mapping[str, Pair], hint: LoRAConfig) -> LoRAConfig:
    """``hint`` if it can hold these pairs, else the smallest configuration that can, with the rest of ``hint``.

    q, k and v get pairs of their own, even if PEFT's pair is one for all three.
    """
    hint = replace(hint, shared=False)
    pieces = [piece for name, pair in pairs.items() for piece in _pieces(name, pair).items()]
    rank, used = max([1, *(len(pair.down) for _, pair in pieces)]), {target for target, _ in pieces}
    if rank <= hint.rank and used <= set(hint.targets):
        return hint
    targets: Any = tuple(target for target in ALL_TARGETS if target in used)
    return replace(hint, rank=rank, alpha=float(rank), targets=targets)


@torch.no_grad()
def fill(method: LoRA, backbone: nn.Module, pairs: Mapping[str, Pair]) -> None:
    """Copy the pairs of ``read`` into a LoRA of the size that ``fitting`` says. Its other updates become zero.

    Raises:
        UserError: a pair belongs to a linear that the backbone does not have, or has in another size.
    """
    names = {id(module): name for name, module in backbone.named_modules()}
    wired = {names[id(linear)]: (linear, update) for linear, update in method.wired}
    unknown = [name for name, pair in pairs.items() if name not in wired and pair.up.any()]
    check(not unknown, f"updates of linears that are not those of this backbone's blocks: {', '.join(unknown)}")
    for name, (linear, update) in wired.items():
        size, pair = tuple(linear.weight.shape), pairs.get(name)
        given = (len(pair.up), pair.down.shape[1]) if pair else size
        check(given == size, f"the update of {name} is {given[0]} x {given[1]}, its weight {size[0]} x {size[1]}")
        pieces = _pieces(name, pair) if pair else {}
        for target, part in _parts(name, update):
            part.up.weight.zero_()
            if target in pieces:
                rank = len(pieces[target].down)
                part.down.weight[:rank] = pieces[target].down
                part.up.weight[:, :rank] = pieces[target].up * (pieces[target].scale / part.scale)


def _parts(name: str, update: nn.Module) -> list[tuple[str, LowRank]]:
    """The pairs of a LoRA here on one linear, with their targets."""
    if isinstance(update, FusedLowRank):
        return [(target, cast(LowRank, part)) for target, part in update.updates.items()]
    return [(name.rpartition(".")[2], cast(LowRank, update))]


def _pieces(name: str, pair: Pair) -> dict[str, Pair]:
    """Split PEFT's pair on one linear by target. The fused qkv gives each updated part with the ranks that it uses."""
    if not name.endswith(".qkv"):
        return {name.rpartition(".")[2]: pair}
    used = [(up, up.any(dim=0)) for up in pair.up.chunk(len(PARTS))]
    return {
        part: Pair(pair.down[ranks], up[:, ranks], pair.scale)
        for part, (up, ranks) in zip(PARTS, used, strict=True)
        if ranks.any()
    }


def _side_by_side(update: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """Join the n pairs of a LoRA here on one linear into PEFT's one pair: A (n r, in) and B (out, n r)."""
    parts = dict(_parts(name, update))
    down = torch.cat([part.down.weight for part in parts.values()])
    if not isinstance(update, FusedLowRank):
        return down, parts.popitem()[1].up.weight
    rows, first = down.new_zeros(len(PARTS), update.dim, len(down)), 0
    for target, part in parts.items():
        rows[PARTS.index(target), :, first : first + len(part.down.weight)] = part.up.weight
        first += len(part.down.weight)
    return down, rows.flatten(0, 1)


def _config(config: LoRAConfig, places: list[str]) -> dict[str, Any]:
    """The content of adapter_config.json for a LoRA here on these linears of a block. PEFT has the rest."""
    fused = 1 if config.shared else sum(part in config.targets for part in PARTS)
    several = fused > 1 and "attn.qkv" in places
    return {
        "peft_type": "LORA",
        "r": config.rank,
        "lora_alpha": config.alpha,
        "rank_pattern": {"attn.qkv": fused * config.rank} if several else {},
        "alpha_pattern": {"attn.qkv": fused * config.alpha} if several else {},
        "target_modules": places,
        "modules_to_save": ["head"],
        "bias": "none",
        "inference_mode": True,
    }


def _scale(config: Mapping[str, Any], name: str, rank: int, path: Path) -> float:
    """The scale of a linear: alpha / rank, or alpha / sqrt(rank). Patterns match the end of a linear's name."""
    patterns = config.get("alpha_pattern") or {}
    check(isinstance(patterns, dict), f"{path}: alpha_pattern={patterns!r} must be names with numbers")
    try:
        named = [alpha for pattern, alpha in patterns.items() if re.match(rf"(.*\.)?({pattern})$", name)]
    except re.error as error:
        raise UserError(f"{path}: a name in alpha_pattern={patterns!r} is no regular expression: {error}") from None
    alpha = named[0] if named else config.get("lora_alpha")
    number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool) and math.isfinite(alpha)
    check(number, f"{path}: lora_alpha={alpha!r} for {name} must be a finite number")
    return float(cast(float, alpha)) / (math.sqrt(rank) if config.get("use_rslora") else rank)
