"""PACE: the loss is that of its equation, in both forms, and what it costs is counted."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from benchmarks import backbones
from benchmarks.records.spec import Recipe
from benchmarks.training import measure
from benchmarks.training.pace import Pace
from methods.parts.noise import perturbed
from tests.support import tiny

LABELS = torch.tensor([0, 1, 2, 3])
BODY = {"pace_lambda": 0.5, "pace_sigma": 0.8}


def pace(kind):
    return Pace(Recipe(pace=kind, **BODY), samples=6, seed=7, device=torch.device("cpu"))


def noisy_logits(model, x, generator):
    """The logits of one pass with all noise on."""
    with perturbed(backbones.describe(model.backbone), 0.8, generator) as noises:
        for noise in noises:
            noise.on = True
        return model(x)


def cross_entropy(model, x):
    return lambda forward: F.cross_entropy(forward(x), LABELS)


def test_the_loss_has_the_squared_distance_of_two_noisy_passes():
    model, x, own = tiny.trained("lora", "image"), tiny.inputs("image"), pace("pace")
    with own.acting_on(model):
        got = own.loss(cross_entropy(model, x), model, x, torch.arange(4))
    generator = torch.Generator().manual_seed(7)
    first, second = (noisy_logits(model, x, generator) for _ in range(2))
    distance = sum(((a - b) ** 2).sum() for a, b in zip(first, second, strict=True)) / 4
    tiny.close(got, F.cross_entropy(first, LABELS) + 0.5 * distance)
    assert distance > 0.1


def test_both_passes_have_the_same_dropout():
    model, x = tiny.trained("lora", "image", dropout=0.5), tiny.inputs("image")
    model.method.train()
    still = Pace(Recipe(pace="pace", pace_lambda=1e3, pace_sigma=1e-9), samples=4, seed=0, device=torch.device("cpu"))
    with still.acting_on(model):
        torch.manual_seed(0)
        got = still.loss(cross_entropy(model, x), model, x, torch.arange(4))
    torch.manual_seed(0)
    tiny.close(got, F.cross_entropy(model(x), LABELS))


@pytest.mark.parametrize("kind", ["pace", "fast"])
def test_every_step_draws_its_own_masks(kind):
    model, x, index = tiny.trained("lora", "image", dropout=0.5), tiny.inputs("image"), torch.arange(4)
    model.method.train()
    noisy = Pace(Recipe(pace=kind, pace_sigma=1e-9), samples=4, seed=0, device=torch.device("cpu"))
    seen: list[torch.Tensor] = []
    torch.manual_seed(0)
    with noisy.acting_on(model):
        for _ in range(2):
            noisy.loss(lambda forward: (seen.append(forward(x)), seen[-1].sum())[1], model, x, index)
    assert not torch.equal(seen[0], seen[1])


def test_fast_compares_a_sample_with_its_own_epoch_before():
    model, x, own = tiny.trained("lora", "image"), tiny.inputs("image"), pace("fast")
    generator, index = torch.Generator().manual_seed(7), torch.tensor([5, 0, 3, 1])
    seen = [noisy_logits(model, x, generator) for _ in range(2)]
    with own.acting_on(model):
        first = own.loss(cross_entropy(model, x), model, x, index)
        second = own.loss(cross_entropy(model, x), model, x, index)
    tiny.close(first, F.cross_entropy(seen[0], LABELS))
    tiny.close(second, F.cross_entropy(seen[1], LABELS) + 0.5 * (seen[1] - seen[0]).square().sum(1).mean())


def test_a_new_sample_has_no_distance_and_the_others_keep_theirs():
    model, x, own = tiny.trained("lora", "image"), tiny.inputs("image"), pace("fast")
    generator = torch.Generator().manual_seed(7)
    seen = [noisy_logits(model, x, generator) for _ in range(2)]
    with own.acting_on(model):
        own.loss(cross_entropy(model, x), model, x, torch.tensor([0, 1, 2, 3]))
        got = own.loss(cross_entropy(model, x), model, x, torch.tensor([0, 1, 4, 5]))
    distance = (seen[1][:2] - seen[0][:2]).square().sum() / 4
    tiny.close(got, F.cross_entropy(seen[1], LABELS) + 0.5 * distance)


def trainer(method, kind):
    def load(split):
        return tiny.inputs("image"), LABELS

    recipe = {"epochs": 3, "warmup_epochs": 0, "batch_size": 2, "train_split": "train", "pace": kind}
    return tiny.trainer_of(method, "image", load, classes=5, **recipe)


@pytest.mark.parametrize("kind", ["pace", "fast"])
def test_training_with_pace_is_seeded_and_differs_from_without(kind):
    histories = []
    for asked in (kind, kind, "none"):
        torch.manual_seed(0)
        training = trainer("adapterx", asked)
        training.train()
        histories.append(training.history)
    assert histories[0] == histories[1] != histories[2]


def test_a_second_pass_is_counted_among_the_operations():
    counted = {}
    for kind in ("none", "pace", "fast"):
        training = trainer("lora", kind)
        training.train()
        x = training.x[:2]
        counted[kind] = measure.training_flops(training.model, x, training.y[:2], training.batch_loss)
    assert counted["pace"] == 2 * counted["none"] and counted["fast"] == counted["none"]


def test_a_method_without_adapters_is_refused_before_training(specs):
    with pytest.raises(
        ValueError, match=r"^recipe: pace=fast puts noise on a method's adapters, and 'bitfit' has none"
    ):
        specs("bitfit", recipe={"pace": "fast"})
    (spec,) = specs("lora", recipe={"pace": "pace"})
    assert replace(spec.recipe, pace="none") != spec.recipe


@pytest.mark.parametrize("fields", [{"pace_sigma": 2.0}, {"pace": "pace", "compile": True}])
def test_fields_of_pace_that_cannot_act_are_refused(fields):
    with pytest.raises(ValueError, match=r"leave it out|leave compile out"):
        Recipe(**fields)
