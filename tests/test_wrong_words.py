"""A wrong name is told before torch is imported, which takes seconds."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WRONG = {  # arguments, and how the error starts
    "run --methods loar": "unknown method 'loar'; did you mean 'lora'? known: ",
    "run --suite ofline": "unknown suite 'ofline'; did you mean 'offline'? known: ",
    "run --tasks digit": "suite offline: unknown task 'digit'; did you mean 'digits'? known: ",
    "run --suite vtab1k --tasks cifr": "suite vtab1k: unknown task 'cifr'; did you mean 'cifar100'? known: ",
    "run --suite modelnet40 --tasks x": "suite modelnet40: unknown task 'x'; known: ",
    "run --set loar.rank=4": "options set for 'loar', which is not among the methods: adapterx, lora",
    "run --backbone vit_nano@none.pth": "weights of backbone 'vit_nano' are missing: none.pth is not a file; ",
    "tune --methods loar": "unknown method 'loar'; did you mean 'lora'? known: ",
    "speed --methods loar": "unknown method 'loar'; did you mean 'lora'? known: ",
    "predict loar . --results none": "'loar' names no run below none/runs; ",
    "export loar --results none -o x.safetensors": "'loar' names no run below none/runs; ",
    "report loar --results none": "'loar' names no run below none/runs; ",
    "push loar me/x --results none": "'loar' names no run below none/runs; ",
    "reproduce 0000zz --results results/realdata": "'0000zz' names no run below results/realdata/runs; ",
    "recommend --data-root . --methods loar": "unknown method 'loar'; did you mean 'lora'? known: ",
    "method check loar": "unknown method 'loar'; did you mean 'lora'? known: ",
    "routing loar --results none -o x.png": "'loar' names no run below none/runs; ",
    "architecture loar --results none -o x.png": "'loar' names no run below none/runs; ",
    "features loar --results none -o x.png": "'loar' names no run below none/runs; ",
    "leaderboard --results results --suite ofline": "results: unknown suite 'ofline'; did you mean ",
    "pareto --results results --suite ofline": "results: unknown suite 'ofline'; did you mean ",
    "ranks --results results --suite ofline": "results: unknown suite 'ofline'; did you mean ",
    "data verify ofline": "unknown suite 'ofline'; did you mean 'offline'? known: ",
    "data show digit -o x.png": "suite offline: unknown task 'digit'; did you mean 'digits'? known: ",
}


def test_a_wrong_name_is_told_without_torch():
    code = f"""
import sys
from benchmarks.__main__ import main
for words in {list(WRONG)}:
    print(main(words.split()), file=sys.stderr)
    assert "torch" not in sys.modules, words
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[1::2] == ["2"] * len(WRONG)
    told = dict(zip(WRONG, lines[::2], strict=True))
    assert {words: line for words, line in told.items() if not line.startswith(f"error: {WRONG[words]}")} == {}
