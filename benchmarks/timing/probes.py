"""Steps to time that are not training steps of a method: optimizer, evaluation, sampling, linear probe, the trainer.

Every function returns its steps by name. The first is the one that the others are compared with.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.backbones.grouping import group
from benchmarks.records.spec import Recipe
from benchmarks.sweeps import sweep
from benchmarks.timing import steps
from benchmarks.timing.steps import FULL, LORA, Case, Mark, Setting, Step
from benchmarks.training import model
from benchmarks.training.run import loader
from benchmarks.training.train import Trainer

EPOCHS, BATCHES = 100, 4  # in the linear probe
EVALUATED = (8, 32, 64, 256)  # samples per batch


def harness(setting: Setting) -> dict[str, Step]:
    """A short run of LoRA on an embedded backbone: in a bare loop, and with the same data in the Trainer."""
    asked = sweep.Sweep(methods=("lora",), tasks=("digits",), recipe={"epochs": 4, "warmup_epochs": 0})
    (spec,) = sweep.specs(asked, "float32")
    load = loader(spec)
    x, y = (torch.cat(parts).to(setting.device) for parts in zip(load("train"), load("val"), strict=True))

    def bare(mark: Mark) -> None:
        tuned = model.build(spec).to(setting.device).train()
        _loop(tuned, x, y, spec.recipe, spec.config.lr, spec.config.weight_decay)
        mark("run")

    def trainer(mark: Mark) -> None:
        tuned = model.build(spec)
        Trainer(tuned, spec.recipe, load, seed=0, device=setting.device, dtype=torch.float32).train()
        mark("run")

    return {"bare loop": bare, "trainer": trainer}


def _loop(tuned: nn.Module, x: Tensor, y: Tensor, recipe: Recipe, lr: float, weight_decay: float) -> None:
    weights = [p for p in tuned.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay, fused=True)
    for _ in range(recipe.epochs):
        for index in torch.randperm(len(x), device=x.device).tensor_split(-(-len(x) // recipe.batch_size)):
            loss = nn.functional.cross_entropy(tuned(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, recipe.clip_grad)
            optimizer.step()


def probe(setting: Setting) -> dict[str, Step]:
    """A linear probe: one pass over the data and a bare loop over the head, and ``linear`` in the Trainer."""
    x, y = setting.samples(BATCHES * setting.batch_size)
    recipe = Recipe(epochs=EPOCHS, batch_size=setting.batch_size, warmup_epochs=0)
    tuned = steps.build(Case(method="linear"), setting, setting.body())
    config, halves = tuned.method.config, {"train": slice(0, None, 2), "val": slice(1, None, 2)}

    def bare(mark: Mark) -> None:
        tuned.eval()
        with torch.inference_mode(), setting.autocast():
            pooled = torch.cat([tuned.pooled(part).float() for part in x.split(setting.batch_size)])
        _loop(tuned.head, pooled.clone(), y, recipe, config.lr, config.weight_decay)
        mark("run")

    def linear(mark: Mark) -> None:
        load = lambda split: (x[halves[split]], y[halves[split]])  # noqa: E731
        trainer = Trainer(tuned, recipe, load, seed=0, device=setting.device, dtype=setting.dtype)
        tuned.method.fit(trainer)
        mark("run")

    return {f"one pass, {EPOCHS} epochs of the head": bare, "linear": linear}


def optimizers(setting: Setting) -> dict[str, Step]:
    """AdamW in PyTorch's three forms, on the weights that ``full`` trains and on those that LoRA trains."""
    forms = {"one by one": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    found: dict[str, Step] = {}
    for case in (FULL, LORA):
        tuned = steps.build(case, setting, setting.body())
        weights = [p for p in tuned.parameters() if p.requires_grad]
        for weight in weights:
            weight.grad = torch.full_like(weight, 1e-3)
        for name, options in forms.items():
            optimizer = torch.optim.AdamW(weights, lr=1e-6, **options)  # type: ignore[arg-type]
            found[f"{case}: {name}"] = partial(_call, optimizer.step)
    return found


def evaluation(setting: Setting) -> dict[str, Step]:
    """Inference in batches of several sizes, always on as many samples as the largest batch has."""
    tuned = steps.build(LORA, setting, setting.body()).eval()
    x, _ = setting.samples(max(EVALUATED))

    def predict(size: int) -> None:
        with torch.inference_mode(), setting.autocast():
            for part in x.split(size):
                tuned(part)

    return {f"batches of {size}": partial(_call, partial(predict, size)) for size in EVALUATED}


def sampling(setting: Setting) -> dict[str, Step]:
    """A training step of LoRA on point clouds, and the search for its centres and neighbours alone."""
    body: Any = setting.body()
    choose = partial(group, setting.samples(setting.batch_size)[0], body.num_groups, body.group_size)
    step = steps.step(steps.build(LORA, setting, body), setting)
    return {"lora": step, "centres and neighbours": partial(_call, choose)}


def folding(setting: Setting) -> dict[str, Step]:
    """The forward pass of the frozen point transformer, without and with its BatchNorms folded into convolutions."""
    plain: Any = setting.body().eval()
    folded = copy.deepcopy(plain)
    for layers in (folded.encoder.first_conv, folded.encoder.second_conv):
        layers[0], layers[1] = fuse_conv_bn_eval(layers[0], layers[1]), nn.Identity()
    groups = plain.prepare(setting.samples(setting.batch_size)[0])

    def forward(body: nn.Module) -> None:
        with torch.no_grad(), setting.autocast():
            body(groups)

    return {"as it is": partial(_call, partial(forward, plain)), "folded": partial(_call, partial(forward, folded))}


def _call(work: Callable[[], object], mark: Mark) -> None:
    work()
    mark("work")
