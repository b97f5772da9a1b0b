"""Point-PEFT, against its equations cloud by cloud, and its memory of training clouds."""

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from benchmarks.backbones.grouping import group
from methods.errors import UserError
from tests.support import loops, tiny

NEAR = 2


def test_totals_equal_the_published():
    own, total = tiny.count_with_head("pointpeft", 15)
    prior, adapter = 10 * 384 + (2 * 384 * 8 + 8 + 384), 2 * 384 * 16 + 16 + 384
    attention = 2 * 384 + 384 * 54 + 18 * 384 + 384
    assert own == 30 + 6 * prior + 12 * (2 * adapter + 2 * 384) + attention
    frozen = 12 * (384 + 1536 + 384 + 2 * 384) + 2 * 384 + 2 * 384  # biases, the last norm, tokens
    head = 768 * 256 + 256 * 256 + 256 * 15 + 6 * 256 + 15
    assert total == own + frozen + head == 710_749
    assert tiny.count_with_head("pointpeft", 15, idle=True)[1] == total + 6 * prior + 12 == 773_017


def quick(x):
    return x * torch.sigmoid(1.702 * x)


def adapted(part, x):
    return quick(x @ part.down.weight.T + part.down.bias) @ part.up.weight.T + part.up.bias


def features(body, x):
    """The maximum of the normed patches of each cloud, in the frozen backbone."""
    h, position = loops.point_tokens(body, x)
    for layer in range(tiny.DEPTH):
        h = loops.block(body, layer, h + position)
    return loops.norm(body.norm, h)[:, 1:].amax(1)


def told(bank, f):
    """[f; sum w M; M] of one cloud (D,)."""
    cosine = [float(f @ m / f.norm() / m.norm()) for m in bank]
    near = sorted(range(len(bank)), key=cosine.__getitem__, reverse=True)[:NEAR]
    w = torch.tensor([cosine[i] for i in near]).softmax(0)
    return torch.stack([f, sum(weight * bank[i] for weight, i in zip(w, near, strict=True)), *bank[near]])


def attended(part, x):
    """(K, D): x plus the attention of 6 heads of width 3."""
    q, k, v = (loops.norm(part.norm, x) @ part.qkv.weight.T).split(18, dim=-1)
    heads = [slice(start, start + 3) for start in range(0, 18, 3)]
    mixed = [(q[:, h] @ k[:, h].T / 18**0.5).softmax(-1) @ v[:, h] for h in heads]
    return x + torch.cat(mixed, dim=-1) @ part.proj.weight.T + part.proj.bias


def farthest(places, count):
    chosen = [0]
    while len(chosen) < count:
        chosen.append(max(range(len(places)), key=lambda i: min((places[i] - places[j]).norm() for j in chosen)))
    return chosen


def spread(method, layer, tokens, places, centers, neighbors):
    """What reaches the patches (G, D) of one cloud, from tokens (T, D) at their places (T, 3)."""
    norm, sources = method.spreads[layer].norm, farthest(places, len(centers) // 2)
    found = []
    for i in sources:
        near = sorted(range(len(places)), key=lambda j: float((places[i] - places[j]).norm()))[:neighbors]
        top = attended(method.attention, tokens[near]).amax(0)
        top = (top - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        found.append(nn.functional.gelu(top) + 0.3 * tokens[i])
    out = []
    for center in centers:
        weights = [1 / ((center - places[i]).square().sum() + 1e-8) for i in sources]
        out.append(sum(w * s for w, s in zip(weights, found, strict=True)) / sum(weights))
    return torch.stack(out)


@torch.no_grad()
def test_output_equals_the_equations():
    model = tiny.trained("pointpeft", "points", near=NEAR, neighbors=3, hidden=5, prompted=2)
    method, frozen, x = model.method, tiny.backbone("points"), tiny.inputs("points", 2)
    bank = torch.randn(5, tiny.WIDTH)
    method.memory.remember(bank)
    for part in method.spreads:
        part.norm.running_mean.normal_()
    memory = torch.stack([told(bank, f) for f in features(frozen, x)])
    _, centers = group(x, 4, 4)
    body = model.backbone
    h, position = loops.point_tokens(body, x)
    for layer in range(tiny.DEPTH):
        h = h + position
        count, places = 0, centers
        if layer < 2:
            count, prior = NEAR + 2, method.priors[layer]
            h = torch.cat([h, prior.prompts + memory + adapted(prior.adapter, memory)], dim=1)
            places = torch.cat([method.prompt_pos.expand(2, -1, -1), centers], dim=1)
        widening = method.widenings[layer]
        h = loops.block(body, layer, h, after_ffn=lambda _, m, part=widening: m + 0.7 * adapted(part, m))
        for cloud in range(2):
            tokens = torch.cat([h[cloud, 5:], h[cloud, 1:5]])
            assert len(tokens) == count + 4
            h[cloud, 1:5] += 0.3 * spread(method, layer, tokens, places[cloud], centers[cloud], 3)
        h = h[:, :5] + adapted(method.adapters[layer], h[:, :5])
    expected = loops.pooled_points(loops.norm(body.norm, h))
    torch.testing.assert_close(model.pooled(x), expected, rtol=1e-4, atol=1e-4)


def test_an_empty_memory_tells_the_cloud_itself_and_a_small_one_repeats():
    memory, x = tiny.wire("pointpeft", "points", near=3).method.memory, tiny.inputs("points", 2)
    with torch.no_grad():
        f = features(tiny.backbone("points"), x)
        tiny.close(memory(x), f[:, None].expand(-1, 5, -1))
        memory.remember(f[:1])
        tiny.close(memory(x)[:, 1:], f[:1].expand(2, 4, -1))


def test_training_remembers_the_clouds_first_and_only_once(tmp_path):
    x, y = tiny.inputs("points", 8), torch.arange(8) % 3
    model, frozen = tiny.wire("pointpeft", "points", near=NEAR), tiny.backbone("points")
    run = tiny.trainer(model, lambda split: (x, y), epochs=1, scratch=tmp_path)
    torch.manual_seed(0)
    model.method.fit(run)
    with torch.no_grad():
        tiny.close(model.method.memory.bank, features(frozen, torch.cat([x, x])))  # train and val
    assert model.method.report(run)["memory"]["clouds"] == 16
    again = tiny.wire("pointpeft", "points", near=NEAR)
    again.method.memory.of = lambda *asked: pytest.fail("the clouds were read again")
    other = tiny.trainer(again, lambda split: (x, y), epochs=1, scratch=tmp_path)
    torch.manual_seed(0)
    again.method.fit(other)
    assert again.method.report(other) == model.method.report(run)
    loaded = tiny.wire("pointpeft", "points", near=NEAR)
    loaded.load_state_dict(load(save(model.trained_state())), strict=False)
    assert torch.equal(loaded.predict(x), model.predict(x)) and torch.equal(again.predict(x), model.predict(x))


def test_the_frozen_copy_is_not_of_the_state_and_never_trains():
    model, x = tiny.trained("pointpeft", "points"), tiny.inputs("points")
    before = model.method.memory.features(x)
    assert not any("frozen" in name for name in model.state_dict())
    assert model.count()["backbone"] == sum(p.numel() for p in model.backbone.parameters())
    tiny.move(model.train())
    assert torch.equal(model.method.memory.features(x), before)
    assert model.double().method.memory.features(x.double()).dtype == torch.float64


@pytest.mark.parametrize("prompted", [0, 4])
def test_prompts_are_in_one_block_to_all(prompted):
    with pytest.raises(UserError, match=f"pointpeft: prompted={prompted} must be from 1 to 3, the blocks"):
        tiny.wire("pointpeft", "points", prompted=prompted)
