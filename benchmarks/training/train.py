"""The one trainer: every method is trained, validated and tested by this code alone."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import Tensor, nn

from benchmarks.records.spec import Epoch, Recipe
from benchmarks.training import evaluate, prefix
from benchmarks.training.augment import KEEP_DISTANCES, augment, resample
from benchmarks.training.augment_images import augment_images
from benchmarks.training.feature_cache import FeatureCache
from benchmarks.training.measure import StepClock
from benchmarks.training.model import Classifier
from benchmarks.training.optimizer import adamw, cosine
from benchmarks.training.outcomes import Outcomes
from benchmarks.training.pace import Pace
from benchmarks.training.precision import autocast, suit_attention
from methods.source import digest

Load = Callable[[str], tuple[Tensor, Tensor]]


class Diverged(RuntimeError):
    """The training loss is no longer a finite number."""


class Trainer:
    """Trains one Classifier on one task.

    ``load`` maps "train", "val" or a test set to decoded inputs (N, ...) and labels. Training and validation samples
    are kept on the device. No test set is loaded before it is tested; only the checkpoint rule best_test calls
    ``test()`` after every epoch. ``on_epoch`` is called after every epoch of every stage. ``scratch`` is the folder
    where a method of several stages keeps the outcome of each, so that an interrupted run continues after the last
    finished stage; without it nothing is kept. ``cache`` shares features with other runs on this machine. ``pool``
    loads clouds with all their points for the recipe's ``resample``; without it ``load`` does.
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
        pool: Load | None = None,
    ) -> None:
        self.model, self.recipe, self.load = model.to(device), recipe, load
        suit_attention(self.model, device, dtype)
        self._stepped = cast("Classifier", torch.compile(self.model)) if recipe.compile else self.model
        self.device, self.dtype, self.on_epoch = device, dtype, on_epoch
        self.outcomes = Outcomes(scratch, device, digest(type(model.method)))
        self._pool = (pool or load) if recipe.resample else load
        self.cache, self.eval_batch_size = cache, prefix.eval_batch_size(device)
        self.seed, self.generator = seed, torch.Generator().manual_seed(seed)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self.history: list[Epoch] = []
        self.pace: Pace | None = None  # from ``train`` on, if the recipe has it; earlier stages are without
        self.clock = StepClock(device)
        self.best: tuple[float, dict[str, Tensor]] | None = None  # the best checkpoint so far: accuracy and weights
        self.accuracy_epoch = recipe.epochs
        self._start = model.trained_state()
        self.prefix: dict[str, int] = {}  # with cached blocks: the block that training starts at, and the cache's bytes
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        names = ["train", "val"] if recipe.train_split == "trainval" else ["train"]
        parts = [self._split(name, self._pool) for name in names]
        self.x, self.y = self._trained_on(torch.cat([x for x, _ in parts])), torch.cat([y for _, y in parts])
        self._splits.clear()
        self._points, self._whole = 0, cast(Tensor | None, None)
        if recipe.resample:  # models see as many points as ``load`` gives, and steps draw them from all
            self._points, self._whole = load("train")[0].shape[1], self.x
            self.x = self.x[:, : self._points]
        self._held_out: tuple[Tensor, Tensor] | None = None

    def train(self) -> None:
        """Train by the recipe, then load the weights of the epoch that the checkpoint rule selects.

        Raises:
            Diverged: a loss was not finite.
        """
        self.clock = StepClock(self.device)  # the steps of earlier stages do not count as steps of this method
        epochs = self.recipe.epochs
        x = self.x if self._whole is None else self._whole
        self.pace = Pace(self.recipe, len(x), self.seed, self.device) if self.recipe.pace != "none" else None
        with self.pace.acting_on(self.model) if self.pace else nullcontext():
            for epoch, loss, lr in self._epochs(x, self.y, epochs, self.model.method.config.lr):
                self._finish_epoch(epoch, loss, lr)
                self.tell("train", epoch, epochs, self.history[-1])
        if self.best is not None:
            self.model.load_state_dict(self.best[1], strict=False)

    def stage(self, name: str, *, epochs: int, lr: float, split: str) -> dict[str, Any]:
        """Train on one split without any evaluation, before ``restart`` and ``train``; returns what the stage cost."""
        assert not self.prefix, "a stage trains on inputs, not on cached block outputs"
        start, losses, (x, y) = time.perf_counter(), [], self._split(split, self._pool)
        for epoch, loss, _ in self._epochs(self._trained_on(x), y, epochs, lr):
            losses.append(loss)
            self.tell(name, epoch, epochs)
        steps = epochs * self._steps_per_epoch(x)
        return {"steps": steps, "seconds": time.perf_counter() - start, "losses": losses}

    def gradients(
        self,
        parameters: Sequence[nn.Parameter],
        loss: Callable[[Classifier, Tensor, Tensor], Tensor] | None = None,
        *,
        batches: int | None = None,
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield the gradients of frozen parameters, batch by batch of one pass over the training samples.

        ``loss`` is that of training by default. ``batches`` ends the pass earlier. The model is in training mode.
        Nothing is trained, but random numbers are drawn, so a stage calls ``restart`` afterwards.
        """
        assert not self.prefix, "a stage reads inputs, not cached block outputs"
        self.model.train()
        x = self.x if self._whole is None else self._whole
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            for index in self._batches(x)[:batches]:
                with autocast(self.device, self.dtype):
                    value = (loss or self.batch_loss)(self.model, self._augmented(x[index]), self.y[index])
                yield torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)

    def tell(self, stage: str, done: int, total: int, row: Epoch | None = None) -> None:
        """Report how many of a stage's epochs are done, with the epoch's row of the history if it has one."""
        self.on_epoch({**(row or {}), "stage": stage, "epoch": done, "epochs": total})

    def keep(self, name: str, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Keep the outcome of a stage, tensors and values for JSON, for a later execution. Needs ``scratch``."""
        self.outcomes.keep(name, tensors, values)

    def kept(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return what ``keep`` kept in an earlier, unfinished execution of this run; None if there is nothing."""
        return self.outcomes.kept(name)

    def validate(self) -> float:
        """The number that decides, such as accuracy, on the validation split, in [0, 1]."""
        if self._held_out is None:
            x, y = self._split("val", self.load)
            self._held_out = prefix.prepared(self.model, x), y
        return self._scores(*self._held_out, votes=1)[self.model.kind.metric]

    def test(self) -> float:
        """The number that decides on the test split, in [0, 1], with the recipe's votes."""
        return self.scores("test")[self.model.kind.metric]

    def scores(self, test: str, see: Callable[[Tensor], None] = lambda logits: None) -> dict[str, float]:
        """All numbers of a test set, in [0, 1], with the recipe's votes. A run calls it once per set, at its end.

        ``see`` is called with the logits of every batch.
        """
        x, y = self._split(test, self.load)
        return self._scores(x, y, votes=self.recipe.votes, masked=self.recipe.masked, see=see)

    def restart(self) -> None:
        """Restore the first weights and the first state of the random generators; the history continues."""
        torch.manual_seed(self.seed)
        self.generator.manual_seed(self.seed)
        self.model.load_state_dict(self._start, strict=False)
        self.best = None

    def keep_prefix(self) -> None:
        """Compute the leading blocks whose output never changes once, and train from their output.

        Training starts from the inputs if there are no such blocks, if inputs are augmented, or if memory is short.
        """
        fixed = not self.recipe.augmented and not self.prefix
        block = prefix.unchanged_blocks(self.model) if fixed else 0
        if not block or not prefix.has_room(self.model, self.x, block):
            return
        compute = partial(prefix.block_inputs, self.model, self.x, block, partial(self.tell, "cache"))
        # only pooled features are small enough to be shared with other runs
        shared = self.cache if block == self.model.method.depth else None
        with autocast(self.device, self.dtype):
            self.x = compute() if shared is None else shared(compute, self.x)
        self.prefix = {"block": block, "bytes": self.x.nbytes}

    def batch_loss(self, model: Classifier, x: Tensor, y: Tensor, index: Tensor | None = None) -> Tensor:
        """The loss of one batch as the method and the recipe define it. ``index`` has the numbers of its samples."""
        with autocast(self.device, self.dtype):
            forward = partial(prefix.resumed, model, self.prefix["block"]) if self.prefix else model
            if self.pace is None:
                return model.method.loss(forward, x, y, self.criterion)
            plain = partial(model.method.loss, x=x, y=y, criterion=self.criterion)
            return self.pace.loss(plain, forward, x, torch.arange(len(x)) if index is None else index)

    def _epochs(self, x: Tensor, y: Tensor, epochs: int, lr: float) -> Iterator[tuple[int, float, float]]:
        """Train epoch by epoch; yields the epoch's number, mean loss and last learning rate."""
        steps = self._steps_per_epoch(x)
        total, least = epochs * steps, self.recipe.full_rate_steps
        optimizer = adamw(self.model, lr, share=min(1.0, total / least) if least else 1.0)
        schedule = cosine(optimizer, lr, steps=total, warmup_steps=self.recipe.warmup_epochs * steps)
        for epoch in range(1, epochs + 1):
            loss = self._epoch(x, y, (epoch - 1) * steps, optimizer, schedule)
            if not math.isfinite(loss):
                raise Diverged(f"the training loss was {loss} in epoch {epoch}; try a lower learning rate")
            yield epoch, loss, optimizer.param_groups[0]["lr"]

    def _epoch(
        self, x: Tensor, y: Tensor, done: int, optimizer: torch.optim.Optimizer, schedule: CosineLRScheduler
    ) -> float:
        """Train one epoch after ``done`` steps; returns its mean loss."""
        self.model.train()
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        total, steps = torch.zeros((), device=self.device), self._steps_per_epoch(x)
        for step, index in enumerate(self._batches(x)):
            schedule.step_update(done + step)
            inputs = self._augmented(x[index])
            with self.clock.step() as mark:
                loss = self.batch_loss(self._stepped, inputs, y[index], index)
                mark("forward")
                optimizer.zero_grad()
                loss.backward()
                mark("backward")
                if self.recipe.clip_grad:
                    nn.utils.clip_grad_norm_(trained, self.recipe.clip_grad)
                optimizer.step()
                mark("optimizer")
            total += loss.detach()
        return float(total) / steps  # the only read from the device in an epoch; a read per step would make it wait

    def _batches(self, x: Tensor) -> tuple[Tensor, ...]:
        """The shuffled indices of one epoch, batch by batch."""
        # batches of even size, because a small last batch would be too small for BatchNorm
        order = torch.randperm(len(x), generator=self.generator).to(self.device)
        return order.tensor_split(self._steps_per_epoch(x))

    def _augmented(self, x: Tensor) -> Tensor:
        if self.recipe.changes_images:
            return augment_images(x, self.recipe, self.generator, self.model)
        x = resample(x, self._points, self.generator) if self.recipe.resample else x
        return augment(x, self.recipe.augment, self.generator)

    def _finish_epoch(self, epoch: int, loss: float, lr: float) -> None:
        """Add the epoch to the history, and keep its weights if they are the best so far by the checkpoint rule."""
        rule = self.recipe.checkpoint_rule
        row: Epoch = {"epoch": epoch, "train_loss": loss, "lr": lr, "val_accuracy": None, "test_accuracy": None}
        due = epoch % self.recipe.validate_every == 0 or epoch == self.recipe.epochs
        if self.recipe.train_split == "train" and due:
            row["val_accuracy"] = self.validate()
        if rule == "best_test":
            row["test_accuracy"] = self.test()
        score = {"last": None, "best_val": row["val_accuracy"], "best_test": row["test_accuracy"]}[rule]
        if score is not None and (self.best is None or score > self.best[0]):
            self.best = (score, copy.deepcopy(self.model.trained_state()))
            self.accuracy_epoch = epoch
        self.history.append(row)

    def _steps_per_epoch(self, x: Tensor) -> int:
        # batches of two would leave one sample over, of which BatchNorm has no deviation
        return max(1, min(math.ceil(len(x) / self.recipe.batch_size), len(x) // 2))

    def _split(self, name: str, load: Load) -> tuple[Tensor, Tensor]:
        if name not in self._splits:
            x, y = load(name)
            # a test set may be larger than the device's memory, so its samples move there batch by batch
            kept = name in ("train", "val")
            self._splits[name] = (x.to(self.device), y.to(self.device)) if kept else (x, y)
        return self._splits[name]

    def _trained_on(self, x: Tensor) -> Tensor:
        """The samples in the form that training uses: clouds are grouped once if augmentation keeps the groups."""
        keeps = self.recipe.augment in KEEP_DISTANCES and not self.recipe.resample
        return prefix.prepared(self.model, x) if keeps else x

    def _scores(self, x: Tensor, y: Tensor, *, votes: int, **options: Any) -> dict[str, float]:
        with autocast(self.device, self.dtype):
            return evaluate.scores(
                self.model,
                x,
                y,
                device=self.device,
                batch_size=self.eval_batch_size,
                votes=votes,
                seed=self.seed,
                **options,
            )
