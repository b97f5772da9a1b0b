"""Bi-AdaptFormer and Bi-LoRA."""

import dataclasses
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load, save
from timm.models import VisionTransformer
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.training import model as models
from benchmarks.training import task_files
from methods.binary import BinaryLinear, from_bytes, one_bit, to_bytes
from methods.errors import UserError
from tests.support import loops, tiny

NAMES = ("bi_adaptformer", "bi_lora")
MEDIAN = 0.6744897501960817  # of half a standard normal
WIDTHS = {"q": (768, 768), "v": (768, 768), "proj": (768, 768), "fc1": (768, 3072), "fc2": (3072, 768)}


def two_values(linear):
    """The weight of a projection as the equations have it, one entry at a time."""
    entries = [float(w) for w in linear.weight.flatten().double()]
    mean = sum(entries) / len(entries)
    deviation = (sum((w - mean) ** 2 for w in entries) / (len(entries) - 1)) ** 0.5
    rounded = [mean + deviation * (MEDIAN if (w - mean) / deviation > 0 else -MEDIAN) for w in entries]
    return torch.tensor(rounded).view_as(linear.weight)


@pytest.mark.parametrize("hidden", [1, 8, 32])
def test_adaptformer_counts_equal_the_closed_form(hidden):
    assert tiny.count("bi_adaptformer", hidden=hidden) == 12 * 2 * 768 * hidden
    assert tiny.count("bi_adaptformer", hidden=hidden, layer_norm=True) == 12 * 2 * 768 * (hidden + 1)


@pytest.mark.parametrize("targets", [("q", "v"), ("proj", "fc1"), ("fc2",)])
def test_lora_counts_equal_the_closed_form(targets):
    assert tiny.count("bi_lora", rank=8, targets=targets) == 12 * 8 * sum(sum(WIDTHS[t]) for t in targets)


@pytest.mark.parametrize(
    ("name", "count", "published"), [("bi_adaptformer", 589_824, 212.9), ("bi_lora", 1_179_648, 285.1)]
)
def test_stored_bytes_equal_the_closed_form_and_the_published(name, count, published):
    body = VisionTransformer(num_classes=0)
    method = methods.build(name, backbones.describe(body), methods.config(name, {}))
    state = method.state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == count == tiny.count(name)
    packed = method.pack(state)
    stored = sum(tensor.nbytes for tensor in packed.values())
    assert stored == count // 8 + 8 * len(state)
    assert {tensor.dtype for tensor in packed.values()} == {torch.uint8, torch.float32}
    # published in KiB with a head of full precision, which alone takes 140.8; both are rounded to 0.1
    assert stored / 1024 == pytest.approx(published - 140.8, abs=0.1)
    method.detach()


def test_weight_has_the_two_values_of_the_equations():
    torch.manual_seed(0)
    weight = torch.randn(7, 5) * 0.3 + 0.1
    assert torch.equal(one_bit(weight).unique(), one_bit(weight).flatten().sort().values[[0, -1]])
    expected = two_values(SimpleNamespace(weight=weight))
    torch.testing.assert_close(one_bit(weight), expected, rtol=1e-6, atol=1e-6)


def test_value_is_the_median_of_either_half_of_a_standard_normal():
    torch.manual_seed(0)
    drawn = torch.randn(1_000_001).abs()
    assert one_bit(torch.tensor([1.0, -1.0])).abs()[0] / 2**0.5 == pytest.approx(float(drawn.median()), abs=3e-3)


@pytest.mark.parametrize("size", [1.0, 1e-4])
def test_gradient_is_straight_through_with_mean_and_deviation(size):
    """The derivative of mean + deviation * (level + z - constant), where z is (w - mean) / (deviation + 1e-5)."""
    torch.manual_seed(0)
    weight = (size * torch.randn(6, 5, dtype=torch.float64)).requires_grad_()
    gradient = torch.randn(6, 5, dtype=torch.float64)
    (got,) = torch.autograd.grad(one_bit(weight), weight, gradient)
    w = weight.detach()
    mean, deviation = w.mean(), w.std()
    share = deviation / (deviation + 1e-5)
    z = (w - mean) / deviation
    rest = torch.where(z > 0, MEDIAN, -MEDIAN) - share**2 * z
    expected = share * gradient + (1 - share) * gradient.mean() + (gradient * rest).sum() * z / (w.numel() - 1)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_a_constant_matrix_keeps_its_value():
    assert torch.equal(one_bit(torch.full((3, 4), 0.25)), torch.full((3, 4), 0.25))


def test_up_projection_starts_small_and_not_at_zero():
    for name in NAMES:
        ups = [p for n, p in tiny.wire(name, "image").method.named_parameters() if ".up." in n]
        assert len(ups) == tiny.DEPTH * (1 if name == "bi_adaptformer" else 2)
        for up in ups:
            assert 0 < up.abs().max() <= 2e-3
            assert 7e-4 < up.std() < 1e-3  # 0.88 of 1e-3, as it is cut off at two deviations


@pytest.mark.parametrize("layer_norm", [False, True])
def test_adaptformer_output_equals_a_loop_over_tokens(layer_norm):
    model = tiny.trained("bi_adaptformer", "image", hidden=8, scale=0.3, layer_norm=layer_norm)

    def beside(layer, h, u):
        branch = loops.bottleneck(model.method.branches[layer], layer_norm, 0.3, weight=two_values)
        return loops.each_token(branch, h)

    loops.check_image(model, tiny.inputs("image", 2), beside=beside)


def test_lora_output_equals_the_equations():
    targets = ("q", "v", "fc1")
    model = tiny.trained("bi_lora", "image", rank=4, alpha=6, targets=targets)
    linear = loops.low_rank(model.method, targets, 6 / 4, weight=two_values)
    loops.check_image(model, tiny.inputs("image", 2), linear=linear)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_stands_before_the_up_projection(name):
    named = tiny.wire(name, "image").method.named_modules()
    dropouts = {n: m.p for n, m in named if isinstance(m, nn.Dropout) and m.p}
    assert set(dropouts.values()) == {0.1}
    assert all(n.endswith(".up.dropout") == (name == "bi_lora") for n in dropouts)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("modality", tiny.MODALITIES)
def test_packed_and_unpacked_gives_equal_bits(name, modality, same_state):
    narrow = {"bi_adaptformer": {"hidden": 3}, "bi_lora": {"rank": 3}}[name]
    model, x = tiny.trained(name, modality, **narrow), tiny.inputs(modality)
    other = tiny.wire(name, modality, **narrow)
    other.head.load_state_dict(model.head.state_dict())
    with torch.no_grad():
        before, packed = model(x), model.method.pack(model.method.state_dict())
        other.method.load_state_dict(other.method.unpack(load(save(packed))))
        assert torch.equal(other(x), before)
        model.method.finish()
        assert torch.equal(model(x), before)  # what is rounded for good computes the same
        assert same_state(model.method.pack(model.method.state_dict()), packed)


@pytest.mark.parametrize("name", NAMES)
def test_fit_leaves_two_values_per_matrix_that_merge_keeps(name, same_state):
    model, x = tiny.wire(name, "image"), tiny.inputs("image")
    model.method.fit(Mock(train=lambda: tiny.move(model)))
    projections = [m for m in model.method.modules() if isinstance(m, BinaryLinear)]
    assert len(projections) == tiny.DEPTH * (2 if name == "bi_adaptformer" else 4)
    assert all(len(projection.weight.unique()) == 2 for projection in projections)
    with torch.no_grad():
        before, kept = model(x), model.method.pack(model.method.state_dict())
        for _ in range(2):
            model.method.merge()
            tiny.close(model(x), before)
            assert same_state(model.method.pack(model.method.state_dict()), kept)


@pytest.mark.parametrize("name", NAMES)
def test_task_file_holds_the_bits_and_comes_back(name, specs, tmp_path):
    (spec,) = specs(name)
    torch.manual_seed(0)
    model = tiny.move(models.build(spec)).eval()
    state = model.trained_state()
    size = task_files.save(model, spec, tmp_path / "task.safetensors")
    matrices = [tensor for key, tensor in state.items() if key.startswith("method.")]
    others = sum(tensor.nbytes for key, tensor in state.items() if not key.startswith("method."))
    content = sum(-(-matrix.numel() // 8) + 8 for matrix in matrices) + others
    # what is not content is the spec and 200 bytes of names, types and places per tensor
    assert content < size < content + 2048 + 200 * (2 * len(matrices) + 2)
    assert size < sum(matrix.nbytes for matrix in matrices) / 8
    x = torch.randn(2, 3, 32, 32)
    loaded = task_files.load(tmp_path / "task.safetensors")
    with torch.inference_mode():
        assert torch.equal(loaded(x), model(x))
        task_files.save(loaded, spec, tmp_path / "again.safetensors")
        assert torch.equal(task_files.load(tmp_path / "again.safetensors")(x), model(x))
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "task.safetensors").read_bytes()


def test_task_file_of_another_layout_is_refused(specs, tmp_path):
    spec, plain = specs("bi_lora", "lora")
    task_files.save(models.build(plain), spec, tmp_path / "task.safetensors")
    with pytest.raises(UserError, match=r"does not hold what bi_lora trains: .*updates.0.updates.q.down.bits"):
        task_files.load(tmp_path / "task.safetensors")


@pytest.mark.parametrize("shape", [(1,), (8,), (3, 5), (16, 4), (2, 3, 5)])
def test_bits_survive_bytes(shape):
    torch.manual_seed(0)
    bits = torch.rand(shape) > 0.5
    packed = to_bytes(bits)
    assert packed.dtype == torch.uint8
    assert len(packed) == -(-bits.numel() // 8)
    assert torch.equal(from_bytes(packed, bits.shape), bits)
    value = sum(int(bit) << place for place, bit in enumerate(bits.flatten()[:8]))
    assert int(packed[0]) == value


@pytest.mark.parametrize("name", NAMES)
def test_two_values_per_matrix_learn_without_the_head(name):
    model, x, y = tiny.wire(name, "image", dropout=0.0).train(), tiny.inputs("image"), torch.arange(4)
    model.head.requires_grad_(False)
    optimizer, losses = torch.optim.AdamW(model.method.param_groups(model), lr=1e-2), []
    for _ in range(40):
        loss = model.method.loss(model, x, y, nn.functional.cross_entropy)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_published_configuration_is_the_default():
    adaptformer, lora = (methods.get(name).Config() for name in NAMES)
    published = {"hidden": 32, "scale": 1.0, "dropout": 0.1, "layer_norm": False, "weight_decay": 1e-4}
    assert published.items() <= dataclasses.asdict(adaptformer).items()
    assert (lora.rank, lora.alpha / lora.rank, lora.dropout, lora.targets) == (32, 1.0, 0.1, ("q", "v"))
