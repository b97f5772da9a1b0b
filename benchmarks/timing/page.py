"""The generated part of benchmarks/timing/README.md: one section per timing, with tables made from its times."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tabulate import tabulate

from benchmarks import backbones
from benchmarks.files.writing import write_atomic
from benchmarks.timing import floor
from benchmarks.timing.floor import Work
from benchmarks.timing.measured import BARS
from benchmarks.timing.steps import CLASSES, COMPILED, FLOOR, PARTS, POINTS
from benchmarks.timing.turns import Timing

PAGE = Path(__file__).parent / "README.md"
START, END = "<!-- measured -->", "<!-- end of measured -->"
TITLES = {
    "methods": "One training step, {backbone}, {device}",
    "memory": "Peak memory of a step, {backbone}, {device}",
    "bars": "Methods with a bar, {backbone}, {device}",
    "compilation": "Compiled steps, {backbone}, {device}",
    "optimizers": "AdamW in PyTorch's three forms, {backbone}, {device}",
    "evaluation": "Inference on the same samples in batches of several sizes, {backbone}, {device}",
    "sampling": "Search for centres and neighbours against a training step, {backbone}, {device}",
    "folding": "Forward pass with folded BatchNorms, {backbone}, {device}",
    "together": "Training steps of several processes side by side, {backbone}, {device}",
    "harness": "The trainer against a bare loop, {device}",
    "probe": "A linear probe in the trainer and in a bare loop, {backbone}, {device}",
}
Table = tuple[Sequence[str], list[list[str]]]


def update(timings: Sequence[Timing], page: Path = PAGE) -> Path:
    """Replace the section between the marks of the page. The rest is written by hand and stays."""
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    measured = "\n".join(section(timing) for timing in timings)
    write_atomic(page, f"{before}{START}\n\n{measured}\n{END}{rest.partition(END)[2]}")
    return page


def section(timing: Timing) -> str:
    """One timing in Markdown. A timing of methods also gets the tables of the frozen floor."""
    lines = [f"### {TITLES[timing.setting['what']].format(**timing.setting)}", where(timing)]
    if timing.setting["what"] == "methods" and _works(timing):
        lines += [markdown(account(timing)), markdown(efficiency(timing))]
    return "\n\n".join([*lines, markdown(ratios(timing))]) + "\n"


def where(timing: Timing) -> str:
    """One sentence with the machine and the settings of a timing."""
    threads = f"{timing.machine['threads']} thread{'s' if timing.machine['threads'] > 1 else ''}"
    own = {"threads": threads, "rounds": len(timing.of(timing.steps[-1]))}
    return (
        "{device}, {threads}, torch {torch}, {dtype}, {batch_size} samples per step; {rounds} rounds, {clock} time; "
        "load average before and after: {load[0]} and {load[1]}."
    ).format(**{**timing.setting, **timing.machine, **own})


def kept(folder: Path) -> list[Timing]:
    """All timings of a folder, ordered by device, title and backbone."""
    order, timings = list(TITLES), [Timing.read(path) for path in sorted(folder.glob("*.json"))]
    return sorted(timings, key=lambda t: (t.setting["device"], order.index(t.setting["what"]), t.setting["backbone"]))


def account(timing: Timing) -> Table:
    """The operations and bytes of the floor by part, in billions."""
    headers = ("part", *[f"{way}, 10^9 {unit}" for unit in ("operations", "bytes") for way in ("forward", "backward")])
    return headers, [[part, *[f"{amount / 1e9:.3f}" for amount in work]] for part, work in _works(timing).items()]


def efficiency(timing: Timing) -> Table:
    """Milliseconds of the floor: as counted, at the rates of the machine, and as measured."""
    whole = floor.total(_works(timing).values())
    products, copies = (timing.machine[name] for name in ("product_flops_per_second", "copy_bytes_per_second"))
    computed = f"operations at {products / 1e9:.0f} billion/s, ms"
    headers = ("floor", computed, f"bytes at {copies / 1e9:.1f} GB/s, ms", "measured, ms", "operations / measured")
    rows = []
    for way, flops, moved in zip(("forward", "backward"), whole[:2], whole[2:], strict=True):
        computing, took = flops / products * 1e3, timing.ms(FLOOR, way)
        moving = moved / copies * 1e3
        rows.append([way, f"{computing:.0f}", f"{moving:.0f}", f"{took:.0f}", f"{computing / took:.0%}"])
    return headers, rows


def ratios(timing: Timing) -> Table:
    """One row per step: median ratios to the first step, in total and by part, and its bar in a timing of bars."""
    barred = timing.setting["what"] == "bars"
    parts = [part for part in PARTS if any(part in timing.of(name)[0] for name in timing.steps)]
    headers = ["step", *parts, f"ratio to {timing.base}", "lowest and highest", "ms"]
    headers += ["bar"] * barred + ["peak memory"] * bool(timing.peak_bytes)
    headers += ["first step, s", "pays after"] * bool(timing.first_ms)
    rows = []
    for name in timing.steps:
        values = timing.ratios(name)
        row = [name, *[f"{timing.ratio(name, part):.3f}" for part in parts], f"{timing.ratio(name):.3f}"]
        row += [f"{min(values):.3f} to {max(values):.3f}", f"{timing.ms(name):.1f}"]
        row += [_bar(name, timing.ratio(name))] * barred
        if timing.peak_bytes:
            row.append(f"{timing.peak_bytes[name] / 2**20:,.0f} MiB" if name in timing.peak_bytes else "")
        row += _break_even(timing, name) if timing.first_ms else []
        rows.append(row)
    return headers, rows


def _break_even(timing: Timing, name: str) -> list[str]:
    """For a compiled step: the seconds of its first call, and after how many steps its speed has saved as many."""
    if name not in timing.first_ms:
        return ["", ""]
    first, later, plain = timing.first_ms[name], timing.ms(name), timing.ms(name.removesuffix(f" {COMPILED}"))
    steps = f"{(first - later) / (plain - later):,.0f} steps" if later < plain else "never"
    return [f"{first / 1e3:.1f}", steps]


def markdown(table: Table) -> str:
    headers, rows = table
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _bar(name: str, ratio: float) -> str:
    bars = {str(case): bar for case, bar in BARS}
    return f"{bars[name]:.2f}: {'kept' if ratio <= bars[name] else 'missed'}" if name in bars else ""


def _works(timing: Timing) -> dict[str, Work]:
    name = timing.setting["backbone"]
    with torch.device("meta"):
        backbone = backbones.build(name, pretrained=False)
    classes = CLASSES[backbones.modality(name)]
    return floor.account(backbone, timing.setting["batch_size"], classes=classes, points=POINTS)
