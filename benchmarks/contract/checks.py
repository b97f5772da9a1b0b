"""What every method promises, as checks of one wired model on a batch of inputs. A broken promise is an AssertionError.

Methods of this project and Hugging Face PEFT's tuners keep these promises alike.
"""

import copy
import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping

import optuna
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import methods
from benchmarks.contract import tiny
from benchmarks.training.model import Classifier
from methods.base import Config

LABELS = torch.arange(tiny.BATCH)


def expect(condition: bool, broken: str) -> None:
    """Say how a promise is broken unless the condition holds.

    Raises:
        AssertionError: with the text.
    """
    if not condition:
        raise AssertionError(broken)


def expect_same(found: Collection[str], promised: Collection[str], what: str) -> None:
    """Compare the names that were found with those that are promised, and tell how they differ."""
    more, fewer = sorted(set(found) - set(promised)), sorted(set(promised) - set(found))
    listed = [
        (word, ", ".join(names[:3]) + " ..." * (len(names) > 3)) for word, names in (("also", more), ("not", fewer))
    ]
    parts = [f"{word} {names}" for word, names in listed if names]
    expect(not parts, f"{what}: {'; '.join(parts)}")


def same_state(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Whether two state dicts have the same names and equal bits."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def close(found: Tensor, expected: Tensor, broken: str, tolerance: float = 1e-5) -> None:
    """Compare two tensors up to rounding."""
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance, msg=lambda text: f"{broken}: {text}")


def loss(model: Classifier, x: Tensor) -> Tensor:
    """The method's training loss of one batch."""
    return model.method.loss(model, x, LABELS, F.cross_entropy)


def step(model: Classifier, x: Tensor) -> None:
    """One step of SGD."""
    loss(model.train(), x).backward()
    torch.optim.SGD(model.method.param_groups(model), lr=0.01).step()


def gradients(model: Classifier, x: Tensor) -> dict[str, Tensor]:
    """The gradient of every parameter that has one."""
    model.zero_grad()
    torch.manual_seed(5)  # for dropout
    loss(model, x).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def hooked(model: Classifier) -> set[str]:
    """The names of the backbone's modules that have hooks."""
    return {name for name, m in model.backbone.named_modules() if m._forward_hooks or m._forward_pre_hooks}


@torch.no_grad()
def check_merge(model: Classifier, x: Tensor, tolerance: float = 1e-5) -> None:
    """Merging changes the output by rounding alone, and a second time by nothing."""
    before = model(x)
    model.method.merge()
    merged = model(x)
    close(merged, before, "the merged model computes something else", tolerance)
    model.method.merge()
    expect(torch.equal(model(x), merged), "a second merge changes the output")


def check_detach(model: Classifier, x: Tensor, original: nn.Module) -> None:
    """After a step, ``detach`` leaves the frozen backbone bit for bit, and no hook."""
    step(model, x)
    model.method.detach()
    same = same_state(model.backbone.state_dict(), original.state_dict())
    expect(same, "after detach the backbone's weights or buffers are not what they were")
    expect(not hooked(model), f"after detach there are hooks on {', '.join(sorted(hooked(model)))}")
    frozen = not any(p.requires_grad for p in model.backbone.parameters())
    expect(frozen, "after detach parameters of the backbone still train")
    with torch.no_grad():
        expect(torch.equal(model.backbone.eval()(x), original(x)), "after detach the backbone computes something else")


def check_deepcopy(model: Classifier, x: Tensor) -> None:
    """A copy computes the same, and what happens to it does not change the model."""
    loss(model, x).backward()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        before = model(x)
        expect(torch.equal(twin(x), before), "a copy computes something else")
        tiny.move(twin)
        expect(not torch.equal(twin(x), before), "a copy does not use its own weights")
        expect(torch.equal(model(x), before), "new weights of a copy change the model")
        twin.method.merge()
        twin.method.detach()
        expect(torch.equal(model(x), before), "detaching a copy changes the model")


def check_compiled(model: Classifier, x: Tensor, backend: str = "aot_eager") -> None:
    """torch.compile makes one graph of the model, which computes the same.

    With ``backend="eager"`` the graph is not traced a second time down to torch's own operators, which takes longest.
    """
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    close(compiled(x), model(x), "the compiled model computes something else")


def check_checkpointing(model: Classifier, x: Tensor) -> None:
    """Gradients are equal if activations are computed again, with dropout drawn again."""
    model.method.train()
    plain = gradients(model, x)
    model.backbone.set_grad_checkpointing(True)  # type: ignore[operator]
    kept = gradients(model, x)
    expect_same(kept, plain, "with gradient checkpointing other parameters have gradients")
    for key in plain:
        close(kept[key], plain[key], f"with gradient checkpointing {key} has another gradient")


def check_json(name: str, **options: object) -> None:
    """A configuration is the same after it was written as JSON and read."""
    config = methods.config(name, {**options, "lr": 0.123})
    expect(config.lr == 0.123, "the option lr is not kept")
    again = methods.config(name, json.loads(json.dumps(dataclasses.asdict(config))))
    expect(again == config, f"JSON changes the configuration: {again} is not {config}")


def suggested(name: str, count: int) -> Iterator[Config]:
    """Configurations drawn at random from the search space of a method."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(count):
        trial = study.ask()
        config = methods.get(name).Config.suggest(trial)
        drawn = [trial.params.get(option) for option in ("lr", "weight_decay")]
        expect(
            [config.lr, config.weight_decay] == drawn, "suggest does not draw lr and weight_decay; see suggest_common"
        )
        yield config
