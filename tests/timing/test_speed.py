"""The speed command: its tables and page are made from the times that it keeps, by arithmetic checked by hand."""

import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import speed
from benchmarks.timing import measured, page, probes, steps, together
from benchmarks.timing.steps import FLOOR, Case, Setting
from benchmarks.timing.turns import Timing, Turn, interleaved

CPU = torch.device("cpu")
SLEEPS = {"a": 0.0, "b": 0.02, "c": 0.01}  # seconds
RATES = {"product_flops_per_second": 1e11, "copy_bytes_per_second": 1e10}
MACHINE = {"device": "cpu: a model", "threads": 2, "torch": "2.0", "load": [0.1, 0.2], **RATES}
SETTING = {"what": "methods", "clock": "wall", "device": "cpu", "dtype": "float32", "batch_size": 8}


def timing(turns: list[Turn], **setting: Any) -> Timing:
    return Timing(setting={**SETTING, "backbone": "vit_base_patch16_224", **setting}, machine=MACHINE, turns=turns)


def parts(*ms: float) -> dict[str, float]:
    return dict(zip(steps.PARTS, ms, strict=False))


FLOORS = [(90, 100), (110, 100), (190, 200), (210, 200), (90, 200), (110, 400), (90, 300)]
BETWEEN = [
    ("lora", (100, 110, 2)),
    ("ssf", (150, 150, 2)),
    ("lora", (220, 200, 4)),
    ("ssf", (300, 300, 4)),
    ("lora", (150, 300, 6)),
    ("ssf", (150, 450, 4)),
]
TURNS: list[Turn] = [(FLOOR, parts(*FLOORS[0]))]
for (name, times), floor_times in zip(BETWEEN, FLOORS[1:], strict=True):
    TURNS += [(name, parts(*times)), (FLOOR, parts(*floor_times))]
MADE = timing(TURNS)


def test_a_ratio_is_the_median_over_turns_against_the_floor_before_and_after():
    assert MADE.ratios("lora") == pytest.approx([212 / 200, 424 / 400, 456 / 400])
    assert MADE.ratio("lora", "forward") == pytest.approx(1.1)  # of 1, 1.1 and 1.5
    assert MADE.ratio("lora", "backward") == pytest.approx(1.0)  # of 1.1, 1 and 1
    assert MADE.ratio("lora", "optimizer") == pytest.approx(0.01)  # of the whole floor, which has none
    assert MADE.ms("ssf") == 604


def test_the_floor_is_compared_with_its_own_neighbours():
    assert MADE.ratios(FLOOR)[:2] == pytest.approx([190 / 210, 210 / 290])  # the first has no turn before it
    assert MADE.ratios(FLOOR)[-1] == pytest.approx(390 / 510)  # the last, none after it
    assert timing(TURNS[:2]).ratios(FLOOR) == [1.0]  # alone


def test_the_table_of_bars_shows_which_bars_are_kept():
    headers, rows = page.ratios(timing(TURNS, what="bars"))
    bars = {row[0]: row[headers.index("bar")] for row in rows}
    assert bars == {FLOOR: "", "lora": "1.05: missed", "ssf": "1.25: missed"}


def test_the_table_of_methods_shows_ratios_by_part_and_no_bars():
    headers, rows = page.ratios(MADE)
    assert rows[1][:5] == ["lora", "1.100", "1.000", "0.010", "1.060"]
    assert "bar" not in headers


def test_bars_are_measured_only_on_a_cpu():
    on_cpu, on_cuda = (set(measured.report(torch.device(name), torch.float32, 1, "wall")) for name in ("cpu", "cuda"))
    assert on_cpu - on_cuda == {"bars"} and on_cuda < on_cpu


def test_the_time_of_the_floor_is_its_operations_over_the_machine_s_rate():
    forward = [float(row[1]) for row in page.account(MADE)[1]]
    (row, _) = page.efficiency(MADE)[1]
    assert float(row[1]) == pytest.approx(sum(forward) / 100 * 1e3, abs=1)
    # ViT-B/16 has 17.56 GFLOPs by the field's count, which takes a multiply-add for one
    assert sum(forward) / 8 == pytest.approx(2 * 17.56, rel=0.01)


def test_times_survive_their_file(tmp_path):
    MADE.write(tmp_path / "times.json")
    assert Timing.read(tmp_path / "times.json") == MADE


def test_the_page_keeps_what_is_written_by_hand(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"before\n{page.START}\nold\n{page.END}\nafter\n")
    page.update([MADE], file)
    first = file.read_text()
    assert first.startswith("before\n") and first.endswith("\nafter\n") and "old" not in first and "| ssf" in first
    page.update([MADE], file)
    assert file.read_text() == first


def test_the_committed_page_is_made_from_the_committed_times(root, tmp_path):
    copy = Path(shutil.copy(page.PAGE, tmp_path))
    timings = page.kept(root / "results" / "performance")
    assert "methods" in {made.setting["what"] for made in timings}
    page.update(timings, copy)
    assert copy.read_text(encoding="utf-8") == page.PAGE.read_text(encoding="utf-8")


def sleep(seconds: float, mark: steps.Mark):
    time.sleep(seconds)
    mark("work")


def test_the_first_step_has_a_turn_before_and_after_every_other():
    order: list[str] = []

    def step(name: str, mark: steps.Mark):
        order.append(name)
        sleep(SLEEPS[name], mark)

    turns = interleaved({name: partial(step, name) for name in SLEEPS}, 2, CPU, "wall")
    assert order == list("abc" + "abac" * 2 + "a")  # once to warm up
    assert [name for name, _ in turns] == order
    assert all(parts["work"] >= 1e3 * SLEEPS[name] for name, parts in turns)


def test_the_cpu_clock_does_not_count_sleep():
    turns = interleaved({"sleep": partial(sleep, 0.02)}, 1, CPU, "cpu")
    assert all(parts["work"] < 15 for _, parts in turns)


def test_a_compiled_step_pays_off_when_its_savings_exceed_its_first_call():
    turns = [(FLOOR, parts(50, 50)), ("lora", parts(60, 60, 0)), ("lora compiled", parts(50, 50, 0))]
    made = replace(timing(turns, what="compilation"), first_ms={"lora compiled": 10_100.0})
    headers, rows = page.ratios(made)
    assert rows[2][headers.index("pays after")] == "500 steps"
    slower = replace(made, turns=[*turns[:2], ("lora compiled", parts(70, 60, 0))])
    assert page.ratios(slower)[1][2][-2:] == ["10.1", "never"]


@pytest.mark.parametrize("backbone", ["vit_nano", "point_nano"])
def test_a_small_run_shows_and_writes_floor_peer_and_methods(backbone, tmp_path, capsys):
    argv = ["--methods", "lora", "mosa", "--set", "lora.rank=2", "--backbone", backbone, "--batch-size", "2"]
    assert speed.main([*argv, "--repeats", "1", "--device", "cpu", "-o", str(tmp_path)]) == 0
    made = Timing.read(tmp_path / f"methods-{backbone}-cpu.json")
    assert made.steps == [FLOOR, "hf:lora", "lora rank=2", "mosa"]
    assert {tuple(parts) for name, parts in made.turns if name != FLOOR} == {steps.PARTS}
    text = (tmp_path / f"methods-{backbone}-cpu.md").read_text()
    assert "| lora rank=2 " in text
    assert ("linear layers of the blocks" in text) == (backbone == "point_nano")  # vit_nano has a stem of convolutions
    assert "written:" in capsys.readouterr().out


def test_a_backbone_with_its_own_size_is_timed_at_that_size(tmp_path):
    setting = Setting(backbone="deit_tiny_patch16_224:32", batch_size=2, device=CPU, dtype=torch.float32)
    assert setting.samples(2)[0].shape == (2, 3, 32, 32)
    argv = ["--methods", "linear", "--backbone", "deit_tiny_patch16_224:32", "--batch-size", "2", "--repeats", "1"]
    assert speed.main([*argv, "--device", "cpu", "-o", str(tmp_path)]) == 0
    assert (tmp_path / "methods-deit_tiny_patch16_224-32-cpu.json").exists()  # no system refuses this name


def test_peaks_are_measured_if_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "peaks", lambda cases, setting: {str(case): 3 * 2**20 for case in cases[-1:]})
    argv = ["--methods", "dtl", "--backbone", "vit_nano", "--batch-size", "2", "--repeats", "1", "--device", "cpu"]
    assert speed.main([*argv, "--peaks", "-o", str(tmp_path)]) == 0
    headers, rows = page.ratios(Timing.read(tmp_path / "memory-vit_nano-cpu.json"))
    assert {row[0]: row[headers.index("peak memory")] for row in rows} == {FLOOR: "", "hf:lora": "", "dtl": "3 MiB"}


@pytest.mark.slow
def test_processes_side_by_side_share_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(together, "SECONDS", 0.5)
    argv = ["together", "--methods", "lora", "--backbone", "vit_nano", "--batch-size", "2", "--side-by-side", "1", "2"]
    assert speed.main([*argv, "--repeats", "1", "--device", "cpu", "-o", str(tmp_path)]) == 0
    made = Timing.read(tmp_path / "together-vit_nano-cpu.json")
    assert made.steps == ["1 side by side", "2 side by side"]
    assert 0.2 < made.ratio("2 side by side") < 2  # all steps of both, over those of one


def test_a_method_that_does_not_fit_the_backbone_is_one_line(complaint):
    argv = ["together", "--methods", "convpass", "--backbone", "point_nano", "--batch-size", "2", "--side-by-side", "1"]
    assert "convpass" in complaint(speed.main, *argv, "--repeats", "1", "--device", "cpu")


def test_the_report_has_every_method_of_a_modality():
    names = {kind: {case.method for case in measured.every(kind)} for kind in ("image", "points")}
    assert {"hf:lora", "lora", "convpass"} <= names["image"] and {"dapt", "idpt"}.isdisjoint(names["image"])
    assert {"hf:lora", "lora", "dapt", "idpt"} <= names["points"] and "convpass" not in names["points"]


def test_folded_norms_compute_the_same():
    setting = Setting(backbone="point_nano", batch_size=2, device=CPU, dtype=torch.float32)
    plain, folded = (step.args[0].args[0] for step in probes.folding(setting).values())  # type: ignore[attr-defined]
    norms = [[m for m in body.modules() if isinstance(m, nn.BatchNorm1d)] for body in (plain, folded)]
    assert list(map(len, norms)) == [2, 0]
    x = setting.samples(2)[0]
    torch.testing.assert_close(folded(x), plain(x), rtol=0, atol=1e-5)


def test_methods_share_the_weights_that_none_of_them_trains():
    setting = Setting(backbone="vit_nano", batch_size=2, device=CPU, dtype=torch.float32)
    body = setting.body()
    tuned = steps.build(Case(method="bitfit"), setting, setting.body())
    steps.share_frozen(tuned.backbone, body)
    same = {name: p.data_ptr() == body.get_parameter(name).data_ptr() for name, p in tuned.backbone.named_parameters()}
    assert {name for name, shared in same.items() if not shared} == {name for name in same if name.endswith("bias")}
