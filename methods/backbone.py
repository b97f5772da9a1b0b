"""What a method may ask of a frozen backbone. The harness describes the backbones of every family in these words.

Shapes: B samples, N tokens, D token width. Tokens come in this order: prefix tokens (such as the class token), then
patches row by row, then the prompts that a method has put at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from methods.errors import UserError, check_known
from methods.modality import Modality

Operation = nn.Linear | nn.LayerNorm | nn.Conv1d | nn.Conv2d
CLASS_TOKEN = ("cls_token", "cls_pos")  # the names of its parameters; only point backbones have both
FUSED = ("q", "k", "v")  # the parts of a fused qkv, in its order
PromptHook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Branch:
    """What a block adds to its tokens: out(inner(norm(h))), where h are the tokens (B, N, D).

    Attributes:
        norm: reads h.
        inner: attention or the FFN, before LayerScale. It reads what ``norm`` returns.
        out: drop-path, or an identity in its place. What it returns joins the residual stream.
        reads: the linears that read the input of ``inner``: a fused qkv, or q, k and v; fc1, or two of a gated FFN.
    """

    norm: nn.Module
    inner: nn.Module
    out: nn.Module
    reads: tuple[nn.Linear, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Block:
    """One block: tokens (B, N, D) to tokens, through attention and then the FFN, or through an FFN alone.

    Attributes:
        module: the whole block. It reads and returns tokens.
        name: its name in the backbone, such as "blocks.0".
        width: D.
        ffn: the branch of the FFN.
        attn: the branch of attention, or None in a block without attention.
        targets: the block's linears by their standard names: "qkv", or "q", "k" and "v"; "proj"; "fc1", or "fc1_g" and
            "fc1_x" of a gated FFN; "fc2".
        grid: the rows and columns of the patches; None for points, and for ConvNeXt, which takes images of any size.
        prefix_tokens: the number of tokens before the patches.
    """

    module: nn.Module
    name: str
    width: int
    ffn: Branch
    attn: Branch | None
    targets: Mapping[str, nn.Linear]
    grid: tuple[int, int] | None
    prefix_tokens: int

    def linear(self, target: str, method: str) -> nn.Linear:
        """A linear by its standard name.

        Raises:
            UserError: the block has no such linear; the message starts with ``method``.
        """
        check_known("linear of the blocks of this backbone", target, self.targets, f"{method}: ")
        return self.targets[target]

    def matrix(self, target: str, method: str) -> tuple[nn.Linear, slice]:
        """A weight matrix by its standard name: a linear and its rows there. q, k and v may be parts of a fused qkv.

        Raises:
            UserError: the block has no such matrix; the message starts with ``method``.
        """
        if target in FUSED and "qkv" in self.targets:
            fused, start = self.targets["qkv"], FUSED.index(target)
            rows = fused.out_features // len(FUSED)
            return fused, slice(start * rows, (start + 1) * rows)
        linear = self.linear(target, method)
        return linear, slice(0, linear.out_features)

    @property
    def matrices(self) -> tuple[str, ...]:
        """The names of the block's weight matrices, with q, k and v apart."""
        return tuple(name for target in self.targets for name in (FUSED if target == "qkv" else (target,)))

    def attention(self, method: str) -> Branch:
        """The branch of attention.

        Raises:
            UserError: the block has no attention; the message starts with ``method``.
        """
        if self.attn is None:
            raise UserError(f"{method}: acts on attention, which the blocks of this backbone do not have")
        return self.attn

    def patch_grid(self, method: str) -> tuple[int, int]:
        """The rows and columns of the patches.

        Raises:
            UserError: the block states none; the message starts with ``method``.
        """
        if self.grid is None:
            raise UserError(f"{method}: acts on the grid of patches, which the blocks of this backbone do not state")
        return self.grid


@dataclass(frozen=True, eq=False, kw_only=True)
class Points:
    """How a backbone of points makes tokens of a cloud: G groups of K points become patches.

    Attributes:
        groups, size: G and K.
        grouping: the module that reads points (B, N, 3) and returns groups (B, G, 1 + K, 3), each centre and then its
            neighbours. It is not called for groups that were found before; see ``Method.reads_clouds``.
        encoder: the module that reads the neighbours (B, G, K, 3) relative to their centres.
        first_layers: the layers of ``encoder`` that see single points.
        positions: the module that reads the centres (B, G, 3), after ``encoder`` and in the same order, and returns
            their positions (B, G, D).
        regroup: maps points (B, N, 3), a number G' and a size K' to such groups (B, G', 1 + K', 3).
        encode: maps groups (B, G', 1 + K', 3) to patch tokens (B, G', D) and their positions; it runs past every hook
            on ``encoder``, ``positions`` and the tokenizer.
        farthest: maps points (B, N, 3) and a count to the indices (B, count) of points that cover the cloud evenly.
    """

    groups: int
    size: int
    grouping: nn.Module
    encoder: nn.Module
    first_layers: nn.Module
    positions: nn.Module
    regroup: Callable[[Tensor, int, int], Tensor]
    encode: Callable[[Tensor], tuple[Tensor, Tensor]]
    farthest: Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class Backbone:
    """A frozen backbone, described for methods.

    Attributes:
        module: maps images (B, 3, H, W), points (B, N, 3) or groups of them to pooled features (B, head_hidden_size).
        modality: "image" or "points".
        stages: runs of blocks of one width. Prompts live inside one stage.
        norm: the norm after the last block. It reads the tokens of a backbone of one stage.
        tokenizer: the module that returns the patch tokens, and the last operation with weights in it.
        operations: every linear, LayerNorm and convolution from the first block on, in the order of the forward pass.
        head_hidden_size: the number of pooled features.
        patch_values: the number of values of one patch: 3 colours per pixel, or 3 coordinates per point.
        channels_first: the modules among these, and in the tokenizer, that return (B, D, ...) and not tokens.
        points: how tokens are made of a cloud; None for images.
        prompt_hooks: forward pre-hooks with keyword arguments that let modules take tokens beyond the backbone's own.
        no_prompts: why the blocks take no prompts; empty if they take them.
        resumable: whether the blocks of the only stage can be called one by one on their tokens alone.
        sample: one input of the right shape, on the device of the weights.
    """

    module: nn.Module
    modality: Modality
    stages: tuple[tuple[Block, ...], ...]
    norm: nn.Module
    tokenizer: tuple[nn.Module, Operation]
    operations: tuple[Operation, ...]
    head_hidden_size: int
    patch_values: int
    channels_first: tuple[nn.Module, ...] = ()
    points: Points | None = None
    prompt_hooks: tuple[tuple[nn.Module, PromptHook], ...] = ()
    no_prompts: str = ""
    resumable: bool = False
    sample: Callable[[], Tensor] = field(repr=False)

    @property
    def cloud(self) -> Points:
        """``points`` of a backbone of points. Only a method of points alone may ask."""
        assert self.points is not None, "images are not made of groups of points"
        return self.points

    @property
    def blocks(self) -> Sequence[Block]:
        """The blocks of all stages."""
        return [block for stage in self.stages for block in stage]

    @property
    def widths(self) -> tuple[int, ...]:
        """The token width of each stage."""
        return tuple(stage[0].width for stage in self.stages)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters of the module, with their names."""
        return self.module.named_parameters()

    def names(self, parameters: Iterable[nn.Parameter]) -> set[str]:
        """The names of these parameters of the module."""
        asked = {id(parameter) for parameter in parameters}
        return {name for name, parameter in self.named_parameters() if id(parameter) in asked}

    def parameters(self, names: Collection[str]) -> Iterator[nn.Parameter]:
        """The parameters of the module with these names."""
        return (parameter for name, parameter in self.named_parameters() if name in names)

    @property
    def class_token(self) -> set[str]:
        """The names of the parameters of the class token: the token, and a position of its own if there is one."""
        return {name for name, _ in self.named_parameters() if name in CLASS_TOKEN}


def modality(module: nn.Module) -> Modality:
    """What a backbone's module reads. A point backbone says so in its attribute; a timm model has none."""
    found: Modality = getattr(module, "modality", "image")
    return found
