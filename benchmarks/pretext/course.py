"""One pretraining of an embedded backbone on formula-driven data: its steps, its checkpoint and its model card."""

import hashlib
import io
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.distributed as dist
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks import backbones
from benchmarks.backbones import tensors
from benchmarks.files.places import check_plain
from benchmarks.files.writing import write_atomic
from benchmarks.pretext import images, points
from methods.errors import UserError, check

HELD_OUT = 1024  # samples that measure accuracy; training never draws them
STATES, COUNTERS = (
    ("backbone", "heads", "optimizer"),
    ("step", "seconds", "rows"),
)  # what a checkpoint holds


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """One pretraining as the command line describes it.

    Attributes:
        name: the embedded backbone.
        processes: how many draw a share of every batch each, and average their gradients.
    """

    name: str
    samples: int
    batch_size: int
    lr: float
    seed: int
    processes: int = 1

    @property
    def steps(self) -> int:
        return self.samples // self.batch_size

    @property
    def command(self) -> str:
        options = f"--samples {self.samples} --batch-size {self.batch_size} --lr {self.lr:g} --seed {self.seed}"
        shared = f" --processes {self.processes}" if self.processes > 1 else ""
        return f"python -m benchmarks.pretrain {self.name} {options}{shared}"


class Course:
    """A pretraining under way. A checkpoint holds its backbone, heads, optimizer, step, seconds and log."""

    def __init__(self, job: Pretraining, out: Path, device: torch.device, rank: int = 0) -> None:
        self.job, self.out, self.device, self.rank = job, out, device, rank
        torch.manual_seed(job.seed)
        self.pretext: Any = images if job.name == "vit_nano" else points
        self.backbone: Any = backbones.build(job.name, pretrained=False).to(device)
        width: dict[bool, Any] = {True: self.backbone.num_features, False: self.backbone.head_hidden_size}
        heads = {n: nn.Linear(width[n.startswith("patch_")], c) for n, c in self.pretext.HEADS.items()}
        self.heads = nn.ModuleDict(heads).to(device)
        parameters = [*self.backbone.parameters(), *self.heads.parameters()]
        wide = {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05}
        groups = [wide, {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=job.lr, fused=True)
        self.step, self.seconds, self.rows = 0, 0.0, list[dict[str, float]]()
        self.checkpoint = out / f"{job.name}.checkpoint"
        self._started = time.monotonic()
        if self.checkpoint.exists():
            self._resume()

    def train_step(self) -> None:
        """Train on one batch. Every step has its own generator, so that a resumed run sees the same samples."""
        warmup = max(1, self.job.steps // 25)
        rate = min((self.step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * self.step / self.job.steps)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.job.lr * rate
        self.backbone.train()
        share = self.job.processes
        x, targets = self._draw(self.step * share + self.rank, self.job.batch_size // share)
        loss = sum(self._losses(x, targets), torch.zeros((), device=self.device)) / len(self.pretext.HEADS)
        self.optimizer.zero_grad()
        loss.backward()
        if share > 1:
            self._average_gradients()
        torch.nn.utils.clip_grad_norm_(self.backbone.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.loss = loss.detach()

    def accuracy(self) -> dict[str, float]:
        """The accuracy of every head on the held-out samples."""
        self.backbone.eval()
        x, targets = self._draw(-1, HELD_OUT)
        with torch.inference_mode():
            logits = self._logits(x)
        hits = {name: (logits[name].argmax(-1) == target)[target >= 0] for name, target in targets.items()}
        return {name: float(hit.float().mean()) for name, hit in hits.items()}

    def log(self, *, quiet: bool) -> None:
        """Add a row to the training log, and print it unless ``quiet``."""
        self.seconds += time.monotonic() - self._started
        self._started = time.monotonic()
        row = {"samples": self.step * self.job.batch_size, "seconds": round(self.seconds, 1), "loss": float(self.loss)}
        self.rows.append(row | {name: round(hit, 4) for name, hit in self.accuracy().items()})
        if not quiet:
            print(" ".join(f"{name}={value:.4g}" for name, value in self.rows[-1].items()), file=sys.stderr, flush=True)

    def save(self) -> None:
        """Write the checkpoint."""
        state = {name: getattr(self, name).state_dict() for name in STATES}
        state |= {"job": vars(self.job), "counters": {name: getattr(self, name) for name in COUNTERS}}
        content = io.BytesIO()
        torch.save(state, content)
        write_atomic(self.checkpoint, content.getvalue())

    def finish(self) -> None:
        """Write weights, log and model card, and delete the checkpoint."""
        path = self.out / f"{self.job.name}.safetensors"
        state = {name: tensor.cpu().contiguous() for name, tensor in self.backbone.state_dict().items()}
        write_atomic(path, save(state))
        write_atomic(path.with_suffix(".csv"), pd.DataFrame(self.rows).to_csv(index=False, lineterminator="\n"))
        write_atomic(path.with_suffix(".md"), self._card(path))
        self.checkpoint.unlink()

    def _average_gradients(self) -> None:
        gradients = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        parts = flat.div_(self.job.processes).split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def _draw(self, stream: int, count: int) -> tuple[Tensor, dict[str, Tensor]]:
        seed = (self.job.seed + 1) * 10_000_019 + stream
        x, targets = self.pretext.render(count, torch.Generator(self.device).manual_seed(seed), self.device)
        return (x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x), targets

    def _logits(self, x: Tensor) -> dict[str, Tensor]:
        """Logits by head: (B, classes) for the whole sample, and (B, T, classes) for its patches."""
        if hasattr(self.backbone, "forward_tokens"):  # a point backbone
            pooled, tokens = self.backbone.forward_tokens(x)
        else:
            sequence = self.backbone.forward_features(x)
            pooled, tokens = self.backbone.forward_head(sequence), sequence[:, self.backbone.num_prefix_tokens :]
        return {n: self.heads[n](tokens if n.startswith("patch_") else pooled) for n in self.pretext.HEADS}

    def _losses(self, x: Tensor, targets: dict[str, Tensor]) -> list[Tensor]:
        """Cross-entropy of every head, divided by the logarithm of its number of classes, so that 1 is chance."""
        logits = self._logits(x)
        return [
            cross_entropy(logits[name].flatten(0, -2), targets[name].flatten(), ignore_index=-1) / math.log(classes)
            for name, classes in self.pretext.HEADS.items()
        ]

    def _resume(self) -> None:
        try:
            check_plain(self.checkpoint)
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            job = Pretraining(**state["job"])
            other, (step, seconds, rows) = job.command, (state["counters"][name] for name in COUNTERS)
            if job == self.job:
                for name in STATES:
                    getattr(self, name).load_state_dict(state[name])
                self.step, self.seconds, self.rows = int(step), float(seconds), [dict(row) for row in rows]
        except tensors.UNREADABLE as error:
            reason = f"{self.checkpoint} is no whole checkpoint: {tensors.reason(error)}"
            raise UserError(f"{reason}; delete it to start again") from None
        check(
            job == self.job,
            f"{self.checkpoint} belongs to another command ({other}); finish that, or delete the file",
        )

    def _card(self, path: Path) -> str:
        last, text = self.rows[-1], Path(__file__).with_name("card.txt").read_text(encoding="utf-8")
        heads = "\n".join(f"| {n} | {c} | {1 / c:.3f} | {last[n]:.3f} |" for n, c in self.pretext.HEADS.items())
        return text.format(
            name=self.job.name,
            doc=(self.pretext.__doc__ or "").splitlines()[0],
            count=sum(p.numel() for p in self.backbone.parameters()),
            size=path.stat().st_size,
            digest=hashlib.sha256(path.read_bytes()).hexdigest(),
            command=self.job.command,
            samples=last["samples"],
            seconds=last["seconds"],
            torch=torch.__version__,
            device=self.device,
            threads=torch.get_num_threads(),
            held=HELD_OUT,
            heads=heads,
        )
