"""The one trainer: every method is trained, validated and tested by this code alone."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from timm.optim import create_optimizer_v2
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import Tensor, nn

from benchmarks.backbones import EMBEDDED
from benchmarks.files.writing import write_atomic
from benchmarks.training import prefix
from benchmarks.training.augment import KEEP_DISTANCES, augment, random_scale
from benchmarks.training.measure import StepClock

if TYPE_CHECKING:
    from benchmarks.records.spec import Recipe
    from benchmarks.training.feature_cache import FeatureCache
    from benchmarks.training.model import Classifier

Epoch = dict[str, Any]
Load = Callable[[str], tuple[Tensor, Tensor]]


class Diverged(RuntimeError):
    """The training loss stopped being a finite number."""


class Trainer:
    """Trains one Classifier model on one task.

    ``load`` maps "train", "val" or "test" to inputs (N, ...) and labels (N,), decoded; they are kept on the device.
    The test split is not loaded before ``test()``, but under the rule best_test, which reads it every epoch.
    ``on_epoch`` hears of every epoch of every stage. A method of several stages keeps what it has done in ``scratch``,
    from where a repeated run takes it up. ``cache`` shares features between the runs of a machine.
    """

    def __init__(
        self,
        model: Classifier,
        recipe: Recipe,
        load: Load,
        *,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
        scratch: Path | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        self.model, self.recipe, self.load = model.to(device), recipe, load
        self._stepped = cast("Classifier", torch.compile(self.model)) if recipe.compile else self.model
        self.device, self.dtype, self.on_epoch, self.scratch = device, dtype, on_epoch, scratch
        self.cache, self.eval_batch_size = cache, prefix.eval_batch_size(device)
        self.seed, self.generator = seed, torch.Generator().manual_seed(seed)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self.history: list[Epoch] = []
        self.clock = StepClock(device)
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.accuracy_epoch = recipe.epochs
        self._start = model.trained_state()
        self.prefix: dict[str, int] = {}  # of a cache: the block that it is before, and its bytes
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        parts = [self._split(name) for name in (["train", "val"] if recipe.train_split == "trainval" else ["train"])]
        self.x, self.y = self._trained_on(torch.cat([x for x, _ in parts])), torch.cat([y for _, y in parts])
        self._splits.clear()
        self._held_out: tuple[Tensor, Tensor] | None = None

    def train(self) -> None:
        """Train by the recipe, then go to the epoch that its checkpoint rule names.

        Raises:
            Diverged: a loss was not finite.
        """
        self.clock = StepClock(self.device)  # earlier stages are not what a step of this method costs
        epochs = self.recipe.epochs
        for epoch, loss, lr in self._epochs(self.x, self.y, epochs, self.model.method.config.lr):
            self._finish_epoch(epoch, loss, lr)
            self.tell("train", epoch, epochs, self.history[-1])
        if self.best is not None:
            self.model.load_state_dict(self.best[1], strict=False)

    def stage(self, name: str, *, epochs: int, lr: float, split: str) -> dict[str, Any]:
        """Train on one split and judge nothing: what comes before ``restart`` and ``train``. Returns its cost."""
        assert not self.prefix, "a stage trains on inputs, not on what is kept of them"
        start, losses, (x, y) = time.perf_counter(), [], self._split(split)
        x = self._trained_on(x)
        for epoch, loss, _ in self._epochs(x, y, epochs, lr):
            losses.append(loss)
            self.tell(name, epoch, epochs)
        steps = epochs * math.ceil(len(x) / self.recipe.batch_size)
        return {"steps": steps, "seconds": time.perf_counter() - start, "losses": losses}

    def tell(self, stage: str, done: int, total: int, row: Epoch | None = None) -> None:
        """Say how far a stage is, and what the history has of the epoch, if it is one that is recorded."""
        self.on_epoch({**(row or {}), "stage": stage, "epoch": done, "epochs": total})

    def keep(self, name: str, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Keep the outcome of a stage for a repetition of this run, if it is a run with a place for that."""
        if self.scratch is None:
            return
        write_atomic(self.scratch / f"{name}.safetensors", to_bytes(tensors, metadata={"values": json.dumps(values)}))

    def kept(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What ``keep`` kept in an earlier, unfinished execution of this run."""
        path = self.scratch / f"{name}.safetensors" if self.scratch else None
        if path is None or not path.exists():
            return None
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["values"])  # noqa: SIM118

    def validate(self) -> float:
        """Accuracy on the validation split, in [0, 1]."""
        if self._held_out is None:
            x, y = self._split("val")
            self._held_out = prefix.prepared(self.model, x), y
        return self._accuracy(*self._held_out)

    def test(self) -> float:
        """Accuracy on the test split, in [0, 1], by the recipe's votes; the last thing that a run does."""
        return self._accuracy(*self._split("test"), self.recipe.votes)

    def restart(self) -> None:
        """Put back the weights and random numbers of the start; the history goes on."""
        torch.manual_seed(self.seed)
        self.generator.manual_seed(self.seed)
        self.model.load_state_dict(self._start, strict=False)
        self.best = None

    def keep_prefix(self) -> None:
        """Train from what enters the first block that the method acts on, where no epoch changes it and it fits."""
        block = prefix.length(self.model) if self.recipe.augment == "none" and not self.prefix else 0
        if not block or not prefix.room(self.model, self.x, block):
            return
        compute = partial(prefix.computed, self.model, self.x, block, partial(self.tell, "cache"))
        # pooled features are small enough to be kept for other runs
        shared = self.cache if block == prefix.depth(self.model.backbone) else None
        with self._autocast():
            self.x = compute() if shared is None else shared(compute, self.x)
        self.prefix = {"block": block, "bytes": self.x.nbytes}

    def batch_loss(self, model: Classifier, x: Tensor, y: Tensor) -> Tensor:
        """The loss of one training batch, as the method defines it."""
        asked = cast("Classifier", prefix.Resumed(model, self.prefix["block"])) if self.prefix else model
        with self._autocast():
            return model.method.loss(asked, x, y, self.criterion)

    def _epochs(self, x: Tensor, y: Tensor, epochs: int, lr: float) -> Iterator[tuple[int, float, float]]:
        """Train epoch by epoch: its number, mean loss and last learning rate."""
        steps = math.ceil(len(x) / self.recipe.batch_size)
        optimizer, scheduler = self._optimizer(steps, epochs, lr)
        for epoch in range(1, epochs + 1):
            loss = self._epoch(x, y, (epoch - 1) * steps, optimizer, scheduler)
            if not math.isfinite(loss):
                raise Diverged(f"the training loss was {loss} in epoch {epoch}; try a lower learning rate")
            yield epoch, loss, optimizer.param_groups[0]["lr"]

    def _optimizer(self, steps: int, epochs: int, lr: float) -> tuple[torch.optim.Optimizer, CosineLRScheduler]:
        optimizer = adamw(self.model, lr)
        warmup = self.recipe.warmup_epochs * steps
        scheduler = CosineLRScheduler(
            optimizer, t_initial=epochs * steps, warmup_t=warmup, warmup_lr_init=lr / max(warmup, 1), t_in_epochs=False
        )
        return optimizer, scheduler

    def _epoch(
        self, x: Tensor, y: Tensor, done: int, optimizer: torch.optim.Optimizer, scheduler: CosineLRScheduler
    ) -> float:
        self.model.train()
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        total, steps = torch.zeros((), device=self.device), math.ceil(len(x) / self.recipe.batch_size)
        # even parts, so that no batch is too small for BatchNorm
        batches = torch.randperm(len(x), generator=self.generator).to(self.device).tensor_split(steps)
        for step, index in enumerate(batches):
            scheduler.step_update(done + step)
            inputs = augment(x[index], self.recipe.augment, self.generator)
            with self.clock.step() as mark:
                loss = self.batch_loss(self._stepped, inputs, y[index])
                mark("forward")
                optimizer.zero_grad()
                loss.backward()
                mark("backward")
                if self.recipe.clip_grad:
                    nn.utils.clip_grad_norm_(trained, self.recipe.clip_grad)
                optimizer.step()
                mark("optimizer")
            total += loss.detach()
        # the first look at a number on the device: once an epoch, not once a step
        return float(total) / steps

    def _finish_epoch(self, epoch: int, loss: float, lr: float) -> None:
        rule = self.recipe.checkpoint_rule
        row: Epoch = {"epoch": epoch, "train_loss": loss, "lr": lr, "val_accuracy": None, "test_accuracy": None}
        if self.recipe.train_split == "train":
            row["val_accuracy"] = self.validate()
        if rule == "best_test":
            row["test_accuracy"] = self.test()
        score = {"last": None, "best_val": row["val_accuracy"], "best_test": row["test_accuracy"]}[rule]
        if score is not None and (self.best is None or score > self.best[0]):
            self.best = (score, copy.deepcopy(self.model.trained_state()))
            self.accuracy_epoch = epoch
        self.history.append(row)

    def _split(self, name: str) -> tuple[Tensor, Tensor]:
        if name not in self._splits:
            x, y = self.load(name)
            # a test split may be larger than the device: it stays where it is, and goes there batch by batch
            self._splits[name] = (x, y) if name == "test" else (x.to(self.device), y.to(self.device))
        return self._splits[name]

    def _trained_on(self, x: Tensor) -> Tensor:
        return prefix.prepared(self.model, x) if self.recipe.augment in KEEP_DISTANCES else x

    def _accuracy(self, x: Tensor, y: Tensor, votes: int = 1) -> float:
        self.model.eval()
        generator = torch.Generator().manual_seed(self.seed)
        # of all clouds at once, so that a cloud's copies do not depend on how large batches are
        scales = [random_scale(x, generator) for _ in range(votes - 1)]
        hits, parts = torch.zeros((), dtype=torch.long, device=self.device), (x, y, *scales)
        with torch.inference_mode(), self._autocast():
            for inputs, labels, *factors in zip(*(part.split(self.eval_batch_size) for part in parts), strict=True):
                logits = self._logits(inputs.to(self.device), [scale.to(self.device) for scale in factors])
                hits += (logits.argmax(dim=1) == labels.to(self.device)).sum()
        return int(hits) / len(y)

    def _logits(self, x: Tensor, scales: Sequence[Tensor]) -> Tensor:
        """Logits (B, classes): of the inputs as they are, or the mean with those of copies scaled by (B, 1, 3)."""
        voices = [self.model(copy).float() for copy in (x, *(x * scale for scale in scales))]
        return torch.stack(voices).mean(dim=0)

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)


def adamw(model: Classifier, lr: float) -> torch.optim.Optimizer:
    """AdamW over what trains, in the groups of its method; fused: the fastest form (benchmarks/timing/README.md)."""
    groups = model.method.param_groups(model)
    return create_optimizer_v2(groups, opt="adamw", lr=lr, weight_decay=model.method.config.weight_decay, fused=True)


def auto_dtype(device: torch.device, backbone: str) -> torch.dtype:
    """bfloat16 where the device computes in it and the backbone gains from that, else float32.

    On a CPU the embedded backbones lose, as their products are small (benchmarks/timing/README.md).
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if backbone.partition("@")[0] in EMBEDDED:
        return torch.float32
    units = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if units and torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
