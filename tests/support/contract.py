"""What every method promises, as checks of one wired model on a batch of inputs.

Methods of this project and Hugging Face PEFT's tuners keep these promises alike.
"""

import copy
import dataclasses
import json

import optuna
import torch
import torch.nn.functional as F

import methods
from tests.support import tiny

LABELS = torch.tensor([0, 1, 2, 3])


def loss(model, x):
    return model.method.loss(model, x, LABELS, F.cross_entropy)


def step(model, x):
    loss(model.train(), x).backward()
    torch.optim.SGD(model.method.param_groups(model), lr=0.01).step()


def gradients(model, x):
    model.zero_grad()
    torch.manual_seed(5)  # for dropout
    loss(model, x).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def hooked(model):
    """The names of the backbone's modules that have hooks."""
    return {n for n, m in model.backbone.named_modules() if m._forward_hooks or m._forward_pre_hooks}


@torch.no_grad()
def check_merge(model, x, tolerance=1e-5):
    """Merging changes the output by rounding alone, and a second time by nothing."""
    before = model(x)
    model.method.merge()
    merged = model(x)
    torch.testing.assert_close(merged, before, rtol=tolerance, atol=tolerance)
    model.method.merge()
    assert torch.equal(model(x), merged)


def check_detach(model, x, original, same_state):
    """After a step, ``detach`` leaves the frozen backbone bit for bit, and no hook."""
    step(model, x)
    model.method.detach()
    assert same_state(model.backbone.state_dict(), original.state_dict())
    assert not hooked(model)
    assert not any(p.requires_grad for p in model.backbone.parameters())
    with torch.no_grad():
        assert torch.equal(model.backbone.eval()(x), original(x))


def check_deepcopy(model, x):
    """A copy computes the same, and what happens to it does not change the model."""
    loss(model, x).backward()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        before = model(x)
        assert torch.equal(twin(x), before)
        tiny.move(twin)
        assert not torch.equal(twin(x), before)
        assert torch.equal(model(x), before)
        twin.method.merge()
        twin.method.detach()
        assert torch.equal(model(x), before)


def check_compiled(model, x):
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    tiny.close(compiled(x), model(x))


def check_checkpointing(model, x):
    """Gradients are equal if activations are computed again, with dropout drawn again."""
    model.method.train()
    plain = gradients(model, x)
    model.backbone.set_grad_checkpointing(True)
    kept = gradients(model, x)
    assert kept.keys() == plain.keys()
    for key in plain:
        torch.testing.assert_close(kept[key], plain[key], rtol=1e-5, atol=1e-6)


def check_json(name, **options):
    config = methods.config(name, {**options, "lr": 0.123})
    assert config.lr == 0.123
    assert methods.config(name, json.loads(json.dumps(dataclasses.asdict(config)))) == config


def suggested(name, count):
    """Configurations drawn at random from the search space of a method."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(count):
        trial = study.ask()
        config = methods.get(name).Config.suggest(trial)
        assert (config.lr, config.weight_decay) == (trial.params["lr"], trial.params["weight_decay"])
        yield config
