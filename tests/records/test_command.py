"""The command of a record asks for the very run that the record is of."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import methods
from benchmarks import run
from benchmarks.records import store
from benchmarks.records.command import command
from benchmarks.sweeps import arguments, sweep

ROOT = Path(__file__).parents[2] / "results"
FOLDERS = (
    "runs/offline/digits",
    "runs/offline/solids",
    "adapterx_ablation/runs/offline/digits",
    "tuned/runs/offline/digits",
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


def test_fields_that_a_record_leaves_out_are_given_where_the_suite_has_them_otherwise():
    spec = {
        "suite": "fewshot",
        "task": "pets@1",
        "method": "lora",
        "seed": 3,
        "dtype": "float32",
        "config": {"rank": 2},
    }
    spec |= {"recipe": {"epochs": 100}, "backbone": {"name": "vit_nano", "modality": "image"}}
    assert "color_jitter=0.0 random_erasing=0.0 crop_scale=1.0 hflip=0.0 resize=squash" in command(spec)
    assert " --backbone vit_nano --set lora.rank=2 --recipe batch_size=32 " in command(spec)


def test_the_command_of_own_files_and_changed_options(specs):
    (spec,) = specs("lora", recipe={"epochs": 3, "normalization": "none"})
    config = methods.config("lora", {"lr": 1e-5, "targets": ["q", "k"]})
    backbone = replace(spec.backbone, name="vit_nano@/home/me/my weights.safetensors")
    own = replace(spec, suite="birds", task="birds", config=config, backbone=backbone)
    assert command(own.to_json()) == (
        "python -m benchmarks.run --suite folder --data-root DIR/birds --tasks birds --methods lora --seeds 0 "
        "--backbone 'vit_nano@my weights.safetensors' --set lora.lr=1e-05 'lora.targets=[q,k]' "
        "--recipe epochs=3 batch_size=16 warmup_epochs=0 drop_path=0.0 normalization=none --dtype float32"
    )
