"""Any number of synthetic run records, as large and varied as real ones: python -m tests.support.many_records N DIR."""

import hashlib
import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

from benchmarks.records import evidence
from benchmarks.records.spec import key_of, stem_of

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
TEMPLATE = Path(__file__).with_name("record.json").read_text()  # what all records share
TUNED = "repadapter"  # every second value of its option is the result of a study
ROUTED = "adapterx"  # its report holds lists of lists


def records(count: int, sets: Sequence[Part] = SETS, seeds: int = SEEDS) -> Iterator[dict[str, Any]]:
    """Make ``count`` records: all methods, sets, tasks and seeds with one value of the option, then with the next."""
    sizes = product(range(1, count + 1), METHODS, sets)
    runs = ((*given, seed, task) for given in sizes for seed, task in product(range(seeds), range(given[2][3])))
    for number, run in enumerate(islice(runs, count), start=1):
        yield _record(random.Random(number), *run)


def write(folder: Path, count: int):
    """Write ``count`` records below ``folder``, under the paths of a sweep."""
    for record in records(count):
        path = folder / "runs" / f"{stem_of(record['spec'], record['key'])}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")


def _record(draw: random.Random, size: int, method: str, part: Part, seed: int, task: int) -> dict[str, Any]:
    option, unit = METHODS[method]
    record, params, rule = json.loads(TEMPLATE), unit * size, part[4]
    spec = record["spec"]
    _fill(spec, part)
    spec["config"][option] = size
    spec |= {"method": method, "task": f"task_{task:02}", "seed": seed}
    level = 0.4 + 0.4 * draw.random() ** 0.5 + 0.01 * math.log(params)
    record["key"] = key_of(spec)
    record["history"] = _history(draw, level, rule, spec["recipe"]["epochs"])
    val = record["history"][-1]["val_accuracy"]
    record["accuracy"] |= {"val": val, "test": round(level, 4), "checkpoint_rule": rule}
    trainable = params + record["params"]["head"]
    record["params"] |= {"method": params, "trainable": trainable, "task_file_bytes": 4 * trainable + 9000}
    record["cost"] = _cost(draw, params)
    if method == ROUTED:  # how 12 blocks use 4 experts
        routing = {name: [[draw.random() for _ in range(4)] for _ in range(12)] for name in ("allocation", "score")}
        record["report"] = {"routing": routing}
    if method == TUNED and size % 2 == 0:
        study = f"{spec['suite']}/{spec['backbone']['name']}/{method}/{spec['task']}"
        found = {"study": study, "trials": 6 * size, "split": "val", "val_accuracy": 0.75}
        record["tuning"] = found | {"fixed": [], "search_seed": 0}
    return evidence.seal(record)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fill(spec: dict[str, Any], part: Part):
    suite, modality, backbone, _, rule = part
    size = 224 if modality == "image" else None
    spec["backbone"] |= {"name": backbone, "modality": modality, "sha256": _digest(backbone), "image_size": size}
    spec |= {"suite": suite, "data_fingerprint": _digest(suite)}
    spec["recipe"] |= {"checkpoint_rule": rule, "train_split": "train" if rule == "best_val" else "trainval"}


def _history(draw: random.Random, level: float, rule: str, epochs: int) -> list[dict[str, Any]]:
    rows = []
    for epoch in range(1, epochs + 1):
        loss = 2.3 * math.exp(-0.15 * epoch) + 0.05 * draw.random()
        rows.append({"epoch": epoch, "train_loss": loss, "lr": 0.01 * (1 + math.cos(math.pi * epoch / epochs)) / 2})
        for split in ("val", "test"):
            accuracy = round(level * (1 - math.exp(-0.2 * epoch)), 3) if rule == f"best_{split}" else None
            rows[-1][f"{split}_accuracy"] = accuracy
    return rows


def _cost(draw: random.Random, params: int) -> dict[str, Any]:
    seconds = 30 + 10 * draw.random() + params / 1e5
    return {
        "train_seconds": seconds,
        "peak_memory_bytes": 2**30 + 16 * params,
        "step_ms": {"forward": seconds / 3, "backward": seconds / 4, "optimizer": seconds / 50},
        "images_per_second": 9000 / seconds,
        "flops_per_image": {"forward": 17_600_000_000 + 200 * params, "training": 35_200_000_000 + 400 * params},
        "latency_ms": {"unmerged": 8 + draw.random(), "merged": 7 + draw.random()},
    }


if __name__ == "__main__":
    write(Path(sys.argv[2]), int(sys.argv[1]))
