"""Any number of synthetic run records, as large and varied as real ones: python -m tests.support.many_records N DIR."""

from __future__ import annotations

import hashlib
import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

Part = tuple[str, str, str, int, str]  # suite, modality, backbone, tasks, rule
SETS: tuple[Part, ...] = (
    ("vtab1k", "image", "vit_base_patch16_224.orig_in21k", 19, "last"),
    ("vtab1k", "image", "vit_base_patch16_224.orig_in21k", 19, "best_test"),
    ("vtab1k", "image", "vit_large_patch16_224.orig_in21k", 19, "best_val"),
    ("scanobjectnn", "points", "point_mae", 3, "last"),
    ("scanobjectnn", "points", "recon", 3, "best_test"),
    ("offline", "image", "vit_nano", 5, "last"),
)
METHODS = {  # method: its varied option, and its trained parameters if the option is 1
    "lora": ("rank", 36_864),
    "adaptformer": ("hidden", 18_960),
    "fact_tt": ("rank", 4_992),
    "repadapter": ("hidden", 3_456),
    "vpt_deep": ("prompts", 11_520),
    "adapterx": ("hidden", 2_756),
    "convpass": ("hidden", 6_672),
}
SEEDS = 5
EPOCHS = 30
TUNED = "repadapter"  # every second value of its option is the result of a study
ROUTED = "adapterx"  # its report holds lists of lists


def records(count: int, sets: Sequence[Part] = SETS, seeds: int = SEEDS) -> Iterator[dict[str, Any]]:
    """Make ``count`` records: all methods, sets, tasks and seeds with one value of the option, then with the next."""
    made = 0
    for size, (method, (option, unit)), part in product(range(1, count + 1), METHODS.items(), sets):
        for seed, task in product(range(seeds), range(part[3])):
            if made == count:
                return
            made += 1
            yield _record(random.Random(made), part, method, {option: size}, unit * size, f"task_{task:02}", seed)


def write(folder: Path, count: int) -> None:
    """Write ``count`` records below ``folder``, under the paths of a sweep."""
    for record in records(count):
        spec = record["spec"]
        path = folder / "runs" / spec["suite"] / spec["task"] / f"{spec['method']}-s{spec['seed']}-{record['key']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")


def _record(
    draw: random.Random,
    part: Part,
    method: str,
    option: dict[str, int],
    params: int,
    task: str,
    seed: int,
) -> dict[str, Any]:
    suite, modality, backbone, _, rule = part
    spec = _spec(suite, modality, backbone, rule) | {
        "method": method,
        "config": {"lr": 0.01, "weight_decay": 0.0001, **option},
        "task": task,
        "seed": seed,
    }
    trials = 6 * next(iter(option.values()))
    level = 0.4 + 0.4 * draw.random() ** 0.5 + 0.01 * math.log(params)
    history = [
        {
            "epoch": epoch,
            "train_loss": 2.3 * math.exp(-0.15 * epoch) + 0.05 * draw.random(),
            "lr": 0.01 * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2,
            "val_accuracy": round(level * (1 - math.exp(-0.2 * epoch)), 3) if rule == "best_val" else None,
            "test_accuracy": round(level * (1 - math.exp(-0.2 * epoch)), 3) if rule == "best_test" else None,
        }
        for epoch in range(1, EPOCHS + 1)
    ]
    return {
        "schema_version": 1,
        "key": hashlib.sha256(json.dumps(spec).encode()).hexdigest()[:16],
        "spec": spec,
        "history": history,
        "accuracy": {
            "val": history[-1]["val_accuracy"],
            "test": round(level, 4),
            "test_samples": 5000,
            "checkpoint_rule": rule,
            "epoch": EPOCHS,
        },
        **_measured(draw, params),
        "report": {"routing": _routing(draw)} if method == ROUTED else {},
        "tuning": _study(spec, trials) if method == TUNED and trials % 12 == 0 else None,
        "status": "finished",
    }


def _spec(suite: str, modality: str, backbone: str, rule: str) -> dict[str, Any]:
    return {
        "backbone": {
            "name": backbone,
            "modality": modality,
            "sha256": hashlib.sha256(backbone.encode()).hexdigest(),
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "image_size": 224 if modality == "image" else None,
        },
        "suite": suite,
        "classes": 10,
        "data_fingerprint": hashlib.sha256(suite.encode()).hexdigest(),
        "recipe": {
            "epochs": EPOCHS,
            "batch_size": 64,
            "warmup_epochs": 3,
            "drop_path": 0.0,
            "label_smoothing": 0.0,
            "clip_grad": 1.0,
            "augment": "none",
            "normalization": "checkpoint",
            "checkpoint_rule": rule,
            "train_split": "train" if rule == "best_val" else "trainval",
        },
        "dtype": "float32",
    }


def _measured(draw: random.Random, params: int) -> dict[str, Any]:
    seconds = 30 + 10 * draw.random() + params / 1e5
    return {
        "params": {
            "method": params,
            "head": 7690,
            "trainable": params + 7690,
            "backbone": 85_798_656,
            "task_file_bytes": 4 * (params + 7690) + 9000,
        },
        "cost": {
            "train_seconds": seconds,
            "peak_memory_bytes": 2**30 + 16 * params,
            "step_ms": {"forward": seconds / 3, "backward": seconds / 4, "optimizer": seconds / 50},
            "images_per_second": 9000 / seconds,
            "flops_per_image": {"forward": 17_600_000_000 + 200 * params, "training": 35_200_000_000 + 400 * params},
            "latency_ms": {"unmerged": 8 + draw.random(), "merged": 7 + draw.random()},
        },
        "environment": {
            "commit": "0" * 40,
            "dirty": False,
            "packages": {"torch": "2.11.0", "torchvision": "0.26.0", "timm": "1.0.20", "numpy": "2.4.0"},
            "threads": 1,
            "device": "synthetic",
            "dtype": "float32",
        },
    }


def _routing(draw: random.Random) -> dict[str, list[list[float]]]:
    """Draw how 12 blocks use 4 experts."""
    return {name: [[draw.random() for _ in range(4)] for _ in range(12)] for name in ("allocation", "score")}


def _study(spec: dict[str, Any], trials: int) -> dict[str, Any]:
    name = f"{spec['suite']}/{spec['backbone']['name']}/{spec['method']}/{spec['task']}"
    return {"study": name, "trials": trials, "split": "val", "val_accuracy": 0.75, "fixed": [], "search_seed": 0}


if __name__ == "__main__":
    write(Path(sys.argv[2]), int(sys.argv[1]))
