"""The recommendation: one sentence, a table, a plot, and the commands to type next."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import methods
from benchmarks import suites
from benchmarks.advice import choice, halving
from benchmarks.advice.finals import Decision
from benchmarks.advice.halving import Contest
from benchmarks.advice.judging import Judged
from benchmarks.backbones.names import parse
from benchmarks.cli import console
from benchmarks.figures.pareto import Panel, Point, draw
from benchmarks.files.writing import write_atomic
from benchmarks.records import shared, store
from benchmarks.records.spec import Spec
from benchmarks.sweeps import report
from benchmarks.tables import screen
from benchmarks.tables.costs import COLUMNS
from benchmarks.tables.formats import to_markdown
from benchmarks.tables.intervals import NORMAL, SAMPLES, means, sampling_variance
from benchmarks.tables.reader import asked, load, ours
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table, counted, notes, nothing_best
from benchmarks.tuning.studies import FINISHED

FOLDER = "recommendations"
FEWEST_SEEDS = 3  # of two, Student's t gives an interval that says nothing
SHOWN = ("file", "seconds", "merged latency ms", "peak memory")
FOLDS_INTO = {"yes": ", folds into the weights", "in part": ", folds into the weights in part", "no": ""}
SHARES = ("half", "a third", "a quarter", "a fifth", "a sixth", "a seventh", "an eighth", "a ninth", "a tenth")


def show(contest: Contest, decision: Decision, done: Sequence[Spec], failed: Mapping[str, str], results: Path) -> int:
    """Write and show the recommendation. Returns 1 if a method failed, else 0."""
    for spec in done:
        shared.note(results, store.read(store.record_path(results, spec)), spec.tuning)
    frame = load(results, shared=True)
    own = asked(ours(frame), done)
    tested = {str(method): _tested(runs) for method, runs in own.groupby("spec.method")}
    made, base = table(contest, decision, own, tested), contest.searches[decision.chosen].base
    words, out, folder = sentence(decision, tested, len(contest.plan.methods)), console(), results / FOLDER
    drawn = draw([_panel(contest, decision)], base.task, folder)
    first = next((spec for spec in done if spec.method == decision.chosen), None)
    following = commands(first, results) if first else []
    page = folder / f"{base.task}.md"
    parts = [words, to_markdown(made), f"![Accuracy against parameters]({base.task}.png)"]
    write_atomic(page, "\n\n".join([*parts, "\n".join(f"    {line}" for line in following)]) + "\n")
    report.save(frame, results, highlight=decision.chosen)
    screen.show(out, [made], costs=True)
    for name, reason in failed.items():
        out.print(f"failed: {name}: {reason}", style="red", soft_wrap=True)
    out.print(f"written: {', '.join(map(str, [page, *drawn, results / 'leaderboard.html']))}", soft_wrap=True)
    out.print("next:", *following, sep="\n  ", soft_wrap=True, highlight=False)
    out.print(words, soft_wrap=True, style="bold", highlight=False)
    return 1 if failed else 0


def sentence(decision: Decision, tested: Mapping[str, tuple[float, float]], count: int) -> str:
    """What to take and why, in one sentence."""
    chosen, judged = methods.get(decision.chosen), decision.judged
    words = f"Take `{decision.chosen}`: "
    if decision.chosen in tested:
        mean, half = tested[decision.chosen]
        words += f"{mean:.1f} ± {half:.1f} % on test, "
    if decision.chosen == decision.best:
        words += f"the best of {count} methods on validation, with no cheaper one tied"
    else:
        words += f"tied with `{decision.best}`, the best of {count} methods on validation, "
        words += share(judged[decision.chosen].params, judged[decision.best].params)
    return words + ("" if chosen.trains_head_alone else FOLDS_INTO[chosen.merges]) + "."


def share(few: int, many: int) -> str:
    """How many of the parameters of one method another one trains, in words."""
    if few == 0:
        return "and trains the head alone"
    if few >= many:
        return "with as many parameters"
    parts = round(many / few)
    part = SHARES[parts - 2] if 2 <= parts <= len(SHARES) + 1 else f"{100 * few / many:.2g} %"
    return f"with {part} of its parameters"


def table(
    contest: Contest, decision: Decision, frame: pd.DataFrame, tested: Mapping[str, tuple[float, float]]
) -> Table:
    """One row per method: the chosen one, the other finalists, those judged in whole, and those that were stopped."""
    others = sorted(set(decision.judged) - set(decision.finalists), key=lambda m: -decision.judged[m].mean)
    stopped = [m for m in contest.plan.methods if m not in decision.judged]
    rows = {}
    for method in (*decision.finalists, *others):
        one, runs = decision.judged[method], frame[frame["spec.method"] == method]
        known = {name: column for name, (column, _) in COLUMNS.items() if name in SHOWN and column in runs}
        medians = {name: COLUMNS[name][1](runs[column].median()) for name, column in known.items() if len(runs)}
        rows[method] = {
            "against best": _verdict(decision, method),
            "validation": f"{100 * one.mean:.1f} ± {choice.half_interval(one):.1f}",
            "test": "{:.1f} ± {:.1f}".format(*tested[method]) if method in tested else "-",
            "params": f"{one.params:,}",
            **medians,
        }
    rows |= {method: {"against best": _stopped(contest, method)} for method in stopped}
    cells = pd.DataFrame.from_dict(rows, orient="index").fillna("-").rename_axis("method")
    base, plan = contest.searches[decision.chosen].base, contest.plan
    about = notes(
        "recommendation",
        on="the validation split" if plan.folds == 1 else f"{plan.folds} folds of all samples that are not for testing",
        epochs=plan.epochs,
        again=f"Finalists were judged again with {counted(range(decision.repeats), 'other seed')}."
        if decision.repeats
        else "There was no time to judge them again with other seeds.",
        trials=_trials(contest),
        seeds=counted(set(frame["spec.seed"]), "seed"),
    )
    title = f"{base.suite}: methods for {base.task}, {parse(base.backbone.name).plain}"
    return Table(title, about, cells, nothing_best(cells))


def commands(run: Spec, results: Path) -> list[str]:
    """What to type next: classes of new photos or clouds by a run, and its export."""
    where = shlex.quote(str(results))
    start, new = "python -m benchmarks", "clouds.h5" if run.backbone.modality == "points" else "PHOTOS"
    return [
        f"{start}.predict {run.key} {new} --results {where}",
        f"{start}.export {run.key} --results {where} -o model.safetensors",
    ]


def _tested(runs: pd.DataFrame) -> tuple[float, float]:
    """Mean test accuracy in percent, and half its 95 % interval: over samples or, of three seeds, that over seeds."""
    group = comparable(runs)[0]
    mean, half = (float(found.to_numpy()[0, 0]) for found in means(group)[:2])
    half = half if len(runs) >= FEWEST_SEEDS else 0.0
    if group["metric"].iloc[0] != "accuracy":
        return mean, half
    return mean, max(half, float(100 * NORMAL * np.sqrt(sampling_variance(mean / 100, group[SAMPLES].iloc[0]))))


def _verdict(decision: Decision, method: str) -> str:
    if method == decision.chosen:
        return "take this" + (" (best)" if method == decision.best else "")
    if method in decision.finalists or not decision.repeats:
        return "best" if method == decision.best else "tied" if method in decision.tied else "below"
    return "no finalist"


def _stopped(contest: Contest, method: str) -> str:
    trial = halving.leading(contest.own).get(method)
    return f"stopped at {100 * halving.value(trial):.1f}" if trial else "not tried"


def _trials(contest: Contest) -> str:
    trials = contest.own.get_trials(deepcopy=False, states=FINISHED)
    counts = [sum(t.user_attrs["method"] == method for t in trials) for method in contest.plan.methods]
    return counted(range(counts[0]), "setting") if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)} settings"


def _panel(contest: Contest, decision: Decision) -> Panel:
    """All methods that were judged in whole. The numbers of the finalists are of more seeds."""
    base = contest.searches[decision.chosen].base

    def point(method: str, one: Judged) -> Point:
        chosen = method == decision.chosen
        name = f"take {method}" if chosen else method
        return Point(name, one.params, 100 * one.mean, choice.half_interval(one), chosen)

    kind = suites.get(base.suite).tasks[base.task].kind
    return Panel(
        title=f"{base.suite}: methods for {base.task}",
        points=[point(method, one) for method, one in decision.judged.items()],
        accuracy=f"validation {kind.metric} (%)",
        note=f"{parse(base.backbone.name).plain}; bars: 95 % interval over samples; "
        "orange: the recommended method; dashed line: Pareto frontier",
        whole=True,
    )
