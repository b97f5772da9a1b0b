"""Sentences that copy figures say what the committed records give.

Each sentence is written here once more, with every figure computed. If a record moves a figure, the failure shows the
sentence as it has to be.
"""

import json
import re
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.tables import accuracies, reader, validity
from benchmarks.tables.rows import comparable, scores, tasks_and_groups
from benchmarks.tables.statistics import Comparison, compare

ROOT = Path(__file__).parents[1]
SHARED_WITH_VERSION_1 = (
    "linear bitfit vpt_shallow vpt_deep adapter adaptformer lora ssf adapterx mosa noah fact_tk repadapter convpass "
    "bi_lora bi_adaptformer full"
)
NUMBERS = {1: "one", 2: "two", 3: "three"}
REAL = ("mini", "realdata-modelnet10", "realdata-cifar10", "realdata-pets37")


class Group:
    """One table: its rows by method (and options), as text, as exact means and as comparisons."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.cells = accuracies.accuracies(frame).cells
        tasks, _ = tasks_and_groups(frame)
        self.runs = scores(frame, tasks)
        self.means = self.runs.dropna().mean(axis=1).groupby("row").mean()

    def row(self, name: str) -> str:
        """The full name of a row, which may also say how it was tuned, or the options of all rows of the method."""
        rows = list(self.cells.index)
        exact = [row for row in rows if re.sub(r" tuned, .*", "", row) == name]
        (found,) = exact or [row for row in rows if row.partition(" ")[0] == name]
        return found

    def cell(self, name: str, column: str = "mean") -> str:
        """A mean of the table without its deviation, or another cell."""
        return self.cells[column][self.row(name)].partition(" ± ")[0]

    def above(self, name: str) -> int:
        return int((self.means > self.means[self.row(name)]).sum())

    @property
    def best(self) -> str:
        return self.cells.index[self.cells["against best"] == "best"][0].partition(" ")[0]

    @property
    def farthest_tie(self) -> float:
        """By how much the worst of the tied rows is below the best."""
        ties = self.cells.index[self.cells["against best"] == "tied"]
        return float(self.means.max() - self.means[ties].min())

    @property
    def tied(self) -> int:
        return int((self.cells["against best"] == "tied").sum())

    def gap(self, first: str, second: str) -> float:
        return float(self.means[self.row(first)] - self.means[self.row(second)])

    def compared(self, first: str, second: str) -> Comparison:
        return compare((self.runs.loc[self.row(first)] - self.runs.loc[self.row(second)]).T)

    def times(self, first: str, second: str, column: str = "params.method") -> float:
        """How many times as much the first row has of what a column of the records counts."""
        mean = self.frame.groupby("row")[column].mean()
        return float(mean[self.row(first)] / mean[self.row(second)])

    def share(self, name: str) -> str:
        """The trained parameters in percent of the backbone's, to a tenth."""
        return f"{float(self.cells['%'][self.row(name)]):.1f}"


@cache
def group(folder: str, about: str) -> Group:
    """The table of a folder of results whose suite or modality is ``about``."""
    (found,) = [
        frame
        for frame in comparable(reader.load(ROOT / "results" / folder))
        if about in (frame["spec.suite"].iloc[0], frame["spec.backbone.modality"].iloc[0])
    ]
    return Group(found)


def ends(interval: tuple[float, float]) -> str:
    return f"{interval[0]:+.1f} to {interval[1]:+.1f}"


def worth(found: Comparison) -> str:
    return "counts as a tie" if found.tied else "is no tie"


def against(table: Group, column: str) -> str:
    return f"{table.cell('adapterx', column)} against {table.cell('full', column)}"


@cache
def changes_by_tuning() -> tuple[pd.Series, pd.Series, tuple[int, int, int]]:
    """The change of accuracy by tuning: per modality, and per method and task; where no trial beat the default, and
    how many of the other choices were better and worse on the test split."""
    cell = ["spec.backbone.modality", "spec.method", "spec.task"]
    after, before = (
        100 * reader.load(ROOT / "results" / folder).groupby(cell)["accuracy.test"].mean() for folder in ("tuned", "")
    )
    changes = (after - before).dropna()
    chosen = ROOT / "results" / "tuned" / "configs" / "offline"
    slots = [json.loads((chosen / method / f"{task}.json").read_text())["slot"] for _, method, task in changes.index]
    beaten = changes[[slot > 0 for slot in slots]]
    counts = (len(changes) - len(beaten), int((beaten > 0).sum()), int((beaten < 0).sum()))
    return changes.groupby(cell[0]).mean(), changes, counts


@cache
def predicted(*methods: str, folder: str = "", suite: str | None = None) -> validity.Agreement:
    """Our ranking of these methods, or of all, beside the published one on VTAB-1K."""
    frame = reader.load(ROOT / "results" / folder, suite, shared=True)
    frame = frame[frame["spec.method"].isin(methods)] if methods else frame
    (found,) = validity.agreements(comparable(frame), "vtab1k")
    return found


def of_readme():
    images, points = group("", "image"), group("", "points")
    tuned_images, tuned_points = group("tuned", "image"), group("tuned", "points")
    yield (
        f"`{images.best}` ({images.cell(images.best)}) leads, and {images.tied} methods are tied with it. Full "
        f"fine-tuning has {images.cell('full')}, and {images.above('full')} methods have more."
    )
    yield (
        f"`{points.best}` ({points.cell(points.best)}) leads, and {points.tied} methods are tied with it. Full "
        f"fine-tuning has {points.cell('full')}, and linear probing {points.cell('linear')}."
    )
    yield (
        f"has {points.gap('adapterx', 'full'):.1f} points more than full fine-tuning on point clouds, with "
        f"{points.share('adapterx')} % of the parameters. [Both tuned](results/tuned/README.md), it has "
        f"{tuned_points.gap('adapterx', 'full'):.1f} more. On images they are tied: it has "
        f"{images.gap('adapterx', 'full'):.1f} more, or {tuned_images.gap('full', 'adapterx'):.1f} less tuned."
    )
    mini = group("realdata", "mini")
    yield (
        f"Adapter-X has {mini.gap('adapterx', 'full'):.1f} points more than full fine-tuning on eight small image "
        f"tasks, which {worth(mini.compared('adapterx', 'full'))}."
    )
    natural, structured = "natural mean", "structured mean"
    yield (
        f"On natural images it has {mini.cell('adapterx', natural)} (full: {mini.cell('full', natural)}), on "
        f"structured ones {mini.cell('adapterx', structured)} ({mini.cell('full', structured)}). LoRA has "
        f"{mini.gap('lora', 'full'):.1f} more, which {worth(mini.compared('lora', 'full'))}"
    )


def of_the_report_on_defaults():
    images, points = group("", "image"), group("", "points")
    both = images.compared("adapterx", "full")
    yield (
        f"On point clouds it does: it has {points.gap('adapterx', 'full'):.1f} more, with {points.share('adapterx')} % "
        f"of the parameters. On images it has {both.difference:.1f} more, with {images.share('adapterx')} %. That "
        f"{worth(both)}. The 95 % interval over seeds ({ends(both.over_seeds)}) leaves out zero, but the one over "
        f"tasks and seeds ({ends(both.over_tasks_and_seeds)}) does not"
    )
    yield (
        f"On images {images.above('adapterx')} methods have a higher mean, and on point clouds "
        f"{points.above('adapterx')}."
    )
    lead = images.best
    yield (
        f"`{lead}` ({images.cell(lead)}) leads with {images.share(lead)} % of the parameters, and {images.tied} "
        f"methods are tied with it. `fact_tk` is {images.gap(lead, 'fact_tk'):.1f} points below it with fewer than "
        f"half as many. Full fine-tuning has {images.cell('full')}, and {images.above('full')} methods have more."
    )
    yield (
        f"`{points.best}` ({points.cell(points.best)}) leads, and {points.tied} methods are tied with it. Of the "
        f"methods made for points `dapt` ({points.cell('dapt')}) is the best. Full fine-tuning "
        f"({points.cell('full')}) is below linear probing ({points.cell('linear')})."
    )
    searches = pd.read_csv(ROOT / "results" / "searches.csv")
    noah = searches[searches["method"].str.startswith("noah")]["percent_of_training"]
    yield f"NOAH's supernet and search take {noah.min():.0f} to {noah.max():.0f} % of its training time"
    yield f"linear probing has {images.cell('linear')} and full fine-tuning {images.cell('full')}."
    sides = [float(images.cell(name, "location")) for name in ("dtl", "dtl_plus", "last")]
    lora = float(images.cell("lora", "location"))
    yield f"On location they have {min(sides):.0f} to {max(sides):.0f}, and LoRA {lora:.0f}."
    yield f"it has {images.cell('glora')} and {points.cell('glora')} over five seeds."
    yield f"NOAH has {images.cell('noah')} and {points.cell('noah')}."
    yield (
        f"A method that is {images.farthest_tie:.1f} points below the best on images, or {points.farthest_tie:.1f} on "
        "point clouds, can still be tied with it."
    )


def of_the_report_on_the_ablation():
    images, points = group("adapterx_ablation", "image"), group("adapterx_ablation", "points")
    gaps = {
        change: (images.gap(f"adapterx {change}", "adapterx"), points.gap(f"adapterx {change}", "adapterx"))
        for change in ("routing=dense", "heads=1", "shared=False", "variant=sequential")
    }
    on_images, on_points = gaps["routing=dense"]
    operations = 100 * images.times("adapterx routing=dense", "adapterx", "cost.flops_per_image.training") - 100
    yield (
        f"accuracy on images is {on_images:.1f} points higher. The parameters are the same, and a training step has "
        f"{operations:.0f} % more operations. On points the difference is {on_points:+.1f} and counts as a tie."
    )
    on_images, on_points = gaps["heads=1"]
    yield (
        f"One head in place of three has {on_images:.1f} points more on images, with "
        f"{images.times('adapterx heads=1', 'adapterx'):.1f} times the parameters. On points it has {-on_points:.1f} "
        "points less, which is a tie."
    )
    on_images, on_points = gaps["shared=False"]
    yield (
        f"there are {images.times('adapterx shared=False', 'adapterx'):.0f} times the parameters on images and "
        f"{points.times('adapterx shared=False', 'adapterx'):.0f} times on points. Accuracy is {on_images:.1f} and "
        f"{on_points:.1f} points higher"
    )
    on_images, on_points = gaps["variant=sequential"]
    yield (f"has {-on_images:.1f} points less there. On points the difference is {on_points:+.1f} and counts as a tie.")


def of_the_report_on_other_studies():
    images, points = group("tuned", "image"), group("tuned", "points")
    by_modality, _, (same, better, worse) = changes_by_tuning()
    yield (
        f"Accuracy changed by {by_modality['image']:+.1f} points on images and {by_modality['points']:+.1f} on point "
        f"clouds. In {same} of {same + better + worse} studies the defaults won. Of the other choices, {better} were "
        f"better than the defaults on the test split, and {worse} were worse. AdaptFormer leads on both "
        f"({images.cell('adaptformer')} and {points.cell('adaptformer')}). Full fine-tuning stays where it was "
        f"({images.cell('full')} and {points.cell('full')}), so its default rate does not hold it back. Adapter-X is "
        f"{points.gap('adapterx', 'full'):.1f} above it on point clouds. On images it is "
        f"{images.gap('full', 'adapterx'):.1f} below, which counts as a tie."
    )
    rho, low, high = predicted().spearman
    yield (
        f"Over {len(predicted().methods)} methods, the rank correlation with the published means of ViT-B/16 is "
        f"{rho:.2f}, with an interval from {low:.2f} to {high:.2f}."
    )
    former = SHARED_WITH_VERSION_1.split()
    rho, low, high = predicted(*former).spearman
    rest = predicted(*(name for name in predicted().methods.index if name not in former))
    theirs = rest.methods["theirs"]
    yield (
        f"Over these {len(former)}, which are the ones that version 1 had, it is {rho:.2f} ({low:.2f} to {high:.2f}). "
        "In version 1 it was 0.64. "
        f"Over the other {len(rest.methods)} it is {rest.spearman[0]:.2f} ({rest.spearman[1]:.2f} to "
        f"{rest.spearman[2]:.2f}). Their published means lie within {theirs.max() - theirs.min():.1f} points"
    )
    small = predicted(folder="realdata", suite="mini")
    same = predicted(*small.methods.index)
    (rho, low, high), (other, lowest, highest) = small.spearman, same.spearman
    yield (
        f"The correlation is {rho:.2f} ({low:.2f} to {high:.2f}) on the small VTAB, and {other:.2f} ({lowest:.2f} to "
        f"{highest:.2f}) on the offline suite over the same five methods. On the small VTAB, LoRA is "
        f"{NUMBERS[small.apart['lora']]} places better than in papers. On the offline suite, Adapter-X is "
        f"{NUMBERS[-same.apart['adapterx']]} places worse."
    )


def of_the_report_on_real_data():
    mini, clouds, cifar, pets = (group("realdata", name) for name in REAL)
    over, lora = mini.compared("adapterx", "full"), mini.compared("lora", "full")
    yield (
        f"Adapter-X ({mini.cell('adapterx')}) is {over.difference:.1f} above full fine-tuning ({mini.cell('full')}), "
        f"with {mini.share('adapterx')} % of the parameters. It has {against(mini, 'natural mean')} on natural images, "
        f"{against(mini, 'specialized mean')} on specialized ones, and {against(mini, 'structured mean')} on "
        f"structured ones. The interval over seeds is {ends(over.over_seeds)}. Over tasks and seeds it is "
        f"{ends(over.over_tasks_and_seeds)}, so on other tasks the order could be another. LoRA ({mini.cell('lora')}) "
        f"is {lora.difference:.1f} above full fine-tuning ({ends(lora.over_seeds)} over seeds, "
        f"{ends(lora.over_tasks_and_seeds)} over tasks and seeds), and tied with Adapter-X. AdaptFormer "
        f"({mini.cell('adaptformer')}) is tied with full fine-tuning."
    )
    over = clouds.compared("adapterx", "full")
    yield (
        f"Adapter-X ({clouds.cell('adapterx')}) is {over.difference:.1f} above full fine-tuning "
        f"({clouds.cell('full')}; {ends(over.over_seeds)} over seeds) with {clouds.share('adapterx')} % of the "
        f"parameters. Adapter ({clouds.cell('adapter')}) leads, and SSF, AdaptFormer and Adapter-X are tied with it."
    )
    yield (
        f"Adapter ({cifar.cell('adapter')}) and Adapter-X ({cifar.cell('adapterx')}) lead on CIFAR-10, where full "
        f"fine-tuning has {cifar.cell('full')}. Adapter leads on Pets ({pets.cell('adapter')}; linear "
        f"{pets.cell('linear')}, Adapter-X {pets.cell('adapterx')}, full {pets.cell('full')})."
    )


def of_the_page_on_real_data():
    mini, clouds, cifar, pets = (group("realdata", name) for name in REAL)
    over = mini.compared("adapterx", "full")
    yield (
        f"Adapter-X is {over.difference:.1f} above full fine-tuning, with {mini.share('adapterx')} % of the "
        f"parameters. Over seeds the interval is {ends(over.over_seeds)}."
    )
    yield f"If tasks vary, too, the interval is {ends(over.over_tasks_and_seeds)}"
    over, two = mini.compared("lora", "full"), mini.compared("lora", "adapterx")
    yield (
        f"It is {over.difference:.1f} above it, with {mini.share('lora')} % of the parameters. The interval over seeds "
        f"is {ends(over.over_seeds)}. The one over tasks and seeds is {ends(over.over_tasks_and_seeds)}, so it "
        f"{worth(over)}. - LoRA and Adapter-X are tied. LoRA is {two.difference:.1f} above Adapter-X "
        f"({ends(two.over_tasks_and_seeds)} over tasks and seeds)."
    )
    yield f"LoRA has {mini.cell('lora', 'location')} there, and Adapter-X {mini.cell('adapterx', 'location')},"
    over, two = mini.compared("adaptformer", "full"), mini.compared("adapterx", "adaptformer")
    assert over.tied and two.tied and round(mini.times("adaptformer", "adapterx")) == 7
    yield (
        f"AdaptFormer is {over.difference:.1f} above it ({ends(over.over_tasks_and_seeds)} over tasks and seeds), with "
        f"{mini.share('adaptformer')} % of the parameters. Adapter-X is {two.difference:.1f} above AdaptFormer with a "
        "seventh of its parameters. That is a tie, too: the interval over tasks and seeds is "
        f"{ends(two.over_tasks_and_seeds)}."
    )
    yield f"So does AdaptFormer, which has {mini.cell('adaptformer', 'location')}."
    over = clouds.compared("adapterx", "full")
    yield (
        f"Adapter-X is {over.difference:.1f} above full fine-tuning ({ends(over.over_seeds)} over seeds), with "
        f"{clouds.share('adapterx')} % of the parameters."
    )
    yield (
        f"Adapter ({clouds.cell('adapter')}) leads. SSF, AdaptFormer and Adapter-X are tied with it, and the others "
        "are below."
    )
    searches = pd.read_csv(ROOT / "results" / "realdata" / "searches.csv")["percent_of_training"]
    yield (
        f"Only linear probing has less than MoSA ({clouds.cell('mosa')}). NOAH ({clouds.cell('noah')}) has less than "
        f"LoRA ({clouds.cell('lora')}), and its supernet and search take {searches.min():.0f} to "
        f"{searches.max():.0f} % of its training time"
    )
    yield (
        f"Adapter ({cifar.cell('adapter')}) and Adapter-X ({cifar.cell('adapterx')}) lead. AdaptFormer "
        f"({cifar.cell('adaptformer')}) and SSF ({cifar.cell('ssf')}) are within two standard deviations of a test "
        f"set of 2,000. Adapter-X is {cifar.gap('adapterx', 'full'):.1f} points above full fine-tuning "
        f"({cifar.cell('full')}) with {float(cifar.cells['%'][cifar.row('adapterx')]):.2f} % of its parameters."
    )
    yield f"VPT-deep ({cifar.cell('vpt_deep')}) is below linear probing ({cifar.cell('linear')})."
    yield (
        f"Adapter leads ({pets.cell('adapter')}). Between it and linear probing ({pets.cell('linear')}) are "
        f"{1.48 * pets.gap('adapter', 'linear'):.0f} of 148 images. Adapter-X ({pets.cell('adapterx')}) is "
        f"{1.48 * pets.gap('adapterx', 'full'):.0f} images above full fine-tuning ({pets.cell('full')})"
    )


def of_the_page_on_tuning():
    images, points = group("tuned", "image"), group("tuned", "points")
    by_modality, changes, (same, better, worse) = changes_by_tuning()
    yield (
        f"accuracy changes by {by_modality['image']:+.1f} points on images and by {by_modality['points']:+.1f} on "
        "point clouds."
    )
    yield (
        f"In {same} of {same + better + worse} studies no trial beat the default. Of the other {better + worse} "
        f"choices, {better} were better than the default on the test split and {worse} were worse. The largest gain is "
        f"{changes.max():.1f} points. The largest loss is {-changes.min():.1f}, by Adapter-X on `location`"
    )
    defaults = (group("", "image").cell("full"), group("", "points").cell("full"))
    yield f"Its means stay as they are with the defaults ({' and '.join(defaults)})."
    on_images, on_points = images.compared("adapterx", "full"), points.compared("adapterx", "full")
    yield (
        f"On point clouds Adapter-X has {on_points.difference:.1f} more ({ends(on_points.over_tasks_and_seeds)}). On "
        f"images it has {-on_images.difference:.1f} less ({ends(on_images.over_tasks_and_seeds)}), which counts as a "
        "tie."
    )


PAGES = {
    of_readme: "README.md",
    of_the_report_on_defaults: "results/README.md",
    of_the_report_on_the_ablation: "results/README.md",
    of_the_report_on_other_studies: "results/README.md",
    of_the_report_on_real_data: "results/README.md",
    of_the_page_on_real_data: "results/realdata/README.md",
    of_the_page_on_tuning: "results/tuned/README.md",
}


@pytest.mark.parametrize(("sentences", "page"), PAGES.items(), ids=[one.__name__ for one in PAGES])
def test_sentences_have_the_figures_of_the_records(sentences, page):
    text = " ".join((ROOT / page).read_text().replace("**", "").split())
    missing = [sentence for sentence in sentences() if sentence not in text]
    assert not missing, "\n".join(missing)
