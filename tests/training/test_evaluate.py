"""Accuracy and votes, followed by hand on a model that looks at one coordinate."""

import torch
from torch import Tensor, nn

from benchmarks.suites.kinds import CLASSIFICATION
from benchmarks.training.evaluate import scores


def clouds() -> tuple[Tensor, Tensor]:
    """Points of two classes that differ in their extent along x."""
    y = torch.arange(300) % 2
    x = torch.rand(len(y), 12, 3, generator=torch.Generator().manual_seed(4)) - 0.5
    x[..., 0] *= 1 + y[:, None]
    return x, y


class Extent(nn.Module):
    """The farther a cloud extends along x, the larger is its logit of class 1. Remembers its inputs."""

    kind = CLASSIFICATION

    def __init__(self):
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        extent = x[..., 0].abs().amax(dim=1)
        return torch.stack([torch.full_like(extent, 0.72), extent], dim=1)


def vote(votes: int, *, seed: int = 0, batch_size: int = 256) -> tuple[float, Tensor]:
    """The accuracy, and the inputs of the model as (votes, samples, points, 3)."""
    model, device = Extent(), torch.device("cpu")
    about = {"device": device, "batch_size": batch_size, "votes": votes, "seed": seed}
    found = scores(model, *clouds(), **about)["accuracy"]  # type: ignore[arg-type]
    return found, torch.stack([torch.cat(model.seen[number::votes]) for number in range(votes)])


def fraction(logits: Tensor) -> float:
    y = clouds()[1]
    return int((logits.argmax(1) == y).sum()) / len(y)


def test_one_vote_is_the_prediction_for_the_cloud_itself():
    found, seen = vote(1)
    assert torch.equal(seen[0], clouds()[0])
    assert found == fraction(Extent()(clouds()[0]))


def test_copies_are_scaled_by_one_factor_per_axis():
    plain, *copies = vote(4, seed=1)[1]
    assert torch.equal(plain, clouds()[0])
    factors = torch.stack(copies) / plain
    assert torch.allclose(factors, factors[:, :, :1].expand_as(factors), rtol=1e-4)
    assert factors.min() >= 2 / 3 - 1e-4 and factors.max() <= 3 / 2 + 1e-4 and factors.std() > 0.2


def test_votes_are_the_mean_logits_of_the_cloud_and_its_copies():
    found, seen = vote(4, seed=1)
    assert found == fraction(torch.stack([Extent()(inputs) for inputs in seen]).sum(0) / 4)
    assert found != vote(1)[0]


def test_votes_do_not_depend_on_the_batch_size():
    assert torch.equal(vote(3, batch_size=7)[1], vote(3)[1])


def test_votes_repeat_under_one_seed_and_differ_under_another():
    first, again, other = vote(3)[1], vote(3)[1], vote(3, seed=1)[1]
    assert torch.equal(first, again)
    assert torch.equal(first[0], other[0]) and not torch.equal(first[1], other[1])
