"""The command of a record asks for the very run that the record is of."""

import json
import shlex
from pathlib import Path

import pytest

from benchmarks import run, suites
from benchmarks.records import store
from benchmarks.records.command import command
from benchmarks.sweeps import arguments, sweep

ROOT = Path(__file__).parents[2] / "results"
FOLDERS = (
    "runs/offline/digits",
    "runs/offline/solids",
    "tuned/runs/offline/count",
    "adapterx_ablation/runs/offline/digits",
)


def asked(text: str) -> list[str]:
    start, *words = shlex.split(text)[2:]
    assert start == "benchmarks.run"
    args = run.parser().parse_args(words)
    return [spec.key for spec in sweep.specs(arguments.sweep(args), args.dtype)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_command_of_a_committed_record_asks_for_its_key(folder):
    paths = sorted((ROOT / folder).glob("*.json"))
    seen = {}
    for path in paths:  # one per method
        seen.setdefault(path.name.partition("-s")[0], path)
    assert seen
    for path in list(seen.values())[::12]:
        record = store.read(path)
        assert asked(command(record["spec"])) == [record["key"]]


def test_options_that_differ_lists_and_names_that_a_shell_would_split_survive(specs):
    changes = {"recipe": {"augment": "none", "label_smoothing": 0.1, "hflip": 0.5}, "seeds": (3,)}
    (spec,) = specs("lora", set={"lora": {"rank": 2, "lr": 1e-5}}, **changes)
    assert asked(command(spec.to_json())) == [spec.key]
    assert "'lora.names=[[\"a b\"]]'" in command(
        json.loads(json.dumps(spec.to_json() | {"config": {"names": ["a b"]}}))
    )


def test_a_suite_that_is_not_installed_is_a_folder_of_own_files(specs):
    (spec,) = specs("linear")
    text = command(spec.to_json() | {"suite": "my photos"})
    assert text.startswith(f"python -m benchmarks.run --suite {suites.FOLDER} --data-root 'my photos' --tasks digits ")
    assert "batch_size=16" in text and "epochs=1" in text
