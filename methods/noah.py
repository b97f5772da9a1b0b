"""NOAH: prompts, adapters and LoRA whose widths are searched block by block (Zhang et al. 2022, arXiv:2206.04673).

Shapes: B samples, N tokens, D token width, L blocks. W is the largest width of a nested module, w its width in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

from torch import nn

from methods import base
from methods.backbone import Backbone
from methods.base import Published
from methods.errors import check
from methods.options import fraction
from methods.stages.nested import FAMILIES, NestedAdapter, NestedLowRank, NestedPrompts, Space, exchange, take_off
from methods.stages.search import Gene, Genes
from methods.stages.supernet import Supernet, SupernetConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import optuna


@dataclass(frozen=True, kw_only=True)
class NOAHConfig(SupernetConfig):
    """``max_params``: the default allows what the authors' 640,000 allows on ViT-B/16.

    They also count 77,568 to 84,480 weights of prompts and positions at the input, which their first block replaces.
    """

    widths: tuple[int, ...] = (1, 5, 10)
    dropout: Annotated[float, fraction] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = self.widths
        check(len(widths) > 0 and min(widths, default=0) >= 1, f"widths={widths} must be positive and not empty")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            max_params=trial.suggest_categorical("max_params", [140_000, 280_000, 555_000]),
        )


class NOAH(Supernet):
    """A supernet of adapter, LoRA and prompts in every block, whose best subnet trains again from the start.

    The evolution differs from the authors' by choice. A mutant draws every width again with probability 0.2 and every
    depth with 0.4; theirs draws a family's depth again with 0.08, and widths only for blocks that are new to it. A
    crossover takes gene by gene from its parents; theirs takes whole families. A subnet that was scored before may be
    drawn again, and is not scored again; theirs is replaced. Of equal scores the smaller subnet wins; there, the first.
    """

    Config = NOAHConfig
    needs_attention = True
    published = Published(image="0.43 M")
    identity_at_start = False  # attention sees the prompts from the first step on

    def __init__(self, backbone: Backbone, config: NOAHConfig) -> None:
        super().__init__(backbone, config)
        self.admit_prompts(backbone, "noah")
        largest, widths = max(config.widths), [block.width for block in backbone.blocks]
        self.adapter = nn.ModuleList(NestedAdapter(dim, largest, config.dropout) for dim in widths)
        self.lora = nn.ModuleList(NestedLowRank(dim, largest, config.dropout) for dim in widths)
        self.prompts = nn.ModuleList(NestedPrompts(dim, largest, config.dropout) for dim in widths)
        modules: Iterator[Any] = zip(self.adapter, self.lora, self.prompts, strict=True)
        for stage in backbone.stages:
            own = [next(modules) for _ in stage]
            prompts = [family[2] for family in own]
            for number, (block, (adapter, update, _)) in enumerate(zip(stage, own, strict=True)):
                self.before(block.module, partial(exchange, prompts, number), tokens=True)
                self.beside(block.linear("qkv", "noah"), update)
                self.after(block.ffn.out, adapter)  # it acts on what drop-path leaves of the FFN, and is not dropped
            self.after(stage[-1].module, partial(take_off, prompts, len(stage)))
        self._space = Space(families=len(FAMILIES), blocks=len(widths), widths=config.widths)

    @property
    def space(self) -> list[Gene]:
        """For each family a depth, and a width for every block."""
        return self._space.genes

    def nested(self) -> list[tuple[Any, ...]]:
        """The modules by family, block by block, in the order of the genes."""
        return [tuple(getattr(self, family)) for family in FAMILIES]

    def activate(self, genes: Genes) -> None:
        """Use the widths that the genes name. The other rows stay but are not used."""
        for modules, widths in zip(self.nested(), self._space.widths_of(genes), strict=True):
            for module, width in zip(modules, widths, strict=True):
                module.width = width

    def slim(self, genes: Genes) -> None:
        """Drop every row that the genes do not use."""
        for modules, widths in zip(self.nested(), self._space.widths_of(genes), strict=True):
            for module, width in zip(modules, widths, strict=True):
                module.resize(width)

    def count(self, genes: Genes) -> int:
        """The number of parameters of a subnet."""
        families = zip(self.nested(), self._space.widths_of(genes), strict=True)
        return sum(m.count(w) for modules, widths in families for m, w in zip(modules, widths, strict=True))

    def architecture(self, genes: Genes) -> dict[str, list[int]]:
        """The widths by family, block by block."""
        families = zip(FAMILIES, self._space.widths_of(genes), strict=True)
        return {family: list(widths) for family, widths in families}

    def genes_of(self, architecture: Mapping[str, list[int]]) -> Genes:
        """The depths and widths; blocks at or beyond a depth have the smallest width."""
        return self._space.genes_of([architecture[family] for family in FAMILIES])

    def untouched(self, depth: int) -> int:
        """The blocks before the first one in which the subnet has a module."""
        used = (any(module.width for module in modules) for modules in zip(*self.nested(), strict=True))
        return next((block for block, any_used in enumerate(used) if any_used), depth)
