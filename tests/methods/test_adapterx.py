"""Adapter-X, against its equations token by token and its published counts."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import methods.parts.smoa
from benchmarks import backbones
from tests.support import loops, tiny

HEADS, EXPERTS, HIDDEN = 3, 4, 8


def model_on(modality, **options):
    return tiny.trained("adapterx", modality, **{"hidden": HIDDEN, **options})


def expert(smoa, i, s):
    """Expert i on one sub-token: W2 relu(W1 s + b1) + b2, its weights cut out of the shared matrices."""
    own = slice(i * HIDDEN, (i + 1) * HIDDEN)
    hidden = (smoa.experts.down.weight[own] @ s + smoa.experts.down.bias[own]).clamp(min=0)
    return smoa.experts.up[own].T @ hidden + smoa.experts.up_bias[i]


def probabilities(smoa, s):
    """softmax over experts of R s . e_i / |e_i| for one sub-token."""
    z = smoa.router.project.weight @ s
    scores = torch.stack([(z * e).sum() / e.square().sum().sqrt() for e in smoa.router.embeddings])
    return scores.exp() / scores.exp().sum()


def smoa_by_loop(smoa, u, heads=HEADS, dense=False):
    """(B, N, D) -> a (B, N, D) and the fractions f_i and mean probabilities P_i, one sub-token at a time."""
    out, chosen, mean, total = [], [0] * EXPERTS, torch.zeros(EXPERTS), 0
    for sample in u:
        rows = []
        for token in sample:
            merged = []
            for s in token.chunk(heads):
                p = probabilities(smoa, s)
                best = int(p.argmax())
                used = range(EXPERTS) if dense else [best]
                merged.append(sum(p[i] * expert(smoa, i, s) for i in used))
                chosen[best] += 1
                mean, total = mean + p, total + 1
            rows.append(torch.cat(merged))
        out.append(torch.stack(rows))
    return torch.stack(out), torch.stack([torch.tensor(chosen) / total, mean / total])


def balance_of(use):
    """N sum f_i P_i."""
    return EXPERTS * sum(f * p for f, p in use.T)


def update(model, layer, u, f):
    """a and use of one block, whose SMoA reads u, or the FFN's output f if sequential."""
    method, config = model.method, model.method.config
    smoa = method.smoas[0 if config.shared else layer]
    source = f if config.variant == "sequential" else u
    a, use = smoa_by_loop(smoa, source, config.heads, config.routing == "dense")
    if config.variant == "dynamic":
        linear = method.scales[layer].linear
        a = a * loops.each_token(lambda token: (linear.weight @ token + linear.bias).clamp(min=0), u)
    return a, use


def run_blocks(model, body, h, position, rates=(0.0,) * tiny.DEPTH):
    """Blocks by the equations; returns normed tokens with all prompts at the end and every block's use of experts."""
    uses, dynamic = [], model.method.config.variant == "dynamic"
    for layer, (attention_mask, ffn_mask) in enumerate(loops.drop_path_masks(rates, len(h))):
        h = h + F.pad(position, (0, 0, 0, h.shape[1] - position.shape[1]))
        seen = []

        def beside(layer, h, u, seen=seen, mask=ffn_mask if dynamic else 1):
            mlp = body.blocks[layer].mlp
            f = loops.plain(layer, "fc2", mlp.fc2, F.gelu(loops.plain(layer, "fc1", mlp.fc1, u)))
            a, use = update(model, layer, u, f)
            seen.append(a)
            uses.append(use)
            return mask * a

        h = loops.block(body, layer, h, beside=beside, **loops.dropping(attention_mask, ffn_mask))
        if model.method.config.prompts:
            generator = model.method.generators[layer]
            prompt = torch.stack([generator.gamma * sum(a) / len(a) + generator.beta for a in seen[0]])
            h = torch.cat([h, prompt[:, None]], dim=1)
    return loops.norm(body.norm, h), torch.stack(uses)


def image_by_loop(model, x, **rates):
    tokens = loops.image_tokens(model.backbone, x)
    h, uses = run_blocks(model, model.backbone, tokens, torch.zeros(1, 1, tiny.WIDTH), **rates)
    return h[:, 0], uses


def points_by_loop(model, x):
    body = model.backbone
    h, uses = run_blocks(model, body, *loops.point_tokens(body, x))
    patches, prompts = h[:, 1 : 1 + body.num_groups], h[:, 1 + body.num_groups :]
    assert prompts.shape[1] == tiny.DEPTH * model.method.config.prompts  # they accumulate
    seen = [h[:, 0], prompts.mean(dim=1), patches.max(dim=1).values]
    return torch.cat(seen if model.method.config.prompts else seen[::2], dim=-1), uses


@pytest.mark.parametrize("variant", ["parallel", "sequential", "dynamic"])
def test_drop_path_drops_the_update_of_dynamic_alone(variant):
    body = tiny.backbone("image", drop_path_rate=0.5)
    model = model_on("image", body=body, variant=variant).train()
    x = tiny.inputs("image", 6)
    with torch.no_grad():
        torch.manual_seed(7)
        got = model.pooled(x)
        torch.manual_seed(7)
        tiny.close(got, image_by_loop(model, x, rates=(0.0, 0.25, 0.5))[0])


SWITCHES = [
    {},
    {"variant": "sequential"},
    {"variant": "dynamic"},
    {"shared": False},
    {"routing": "dense"},
    {"heads": 1},
    {"prompts": False},
    {"norm2": False, "balance": 0.5},
]


@pytest.fixture(params=["by expert", "dense"])
def form(request, monkeypatch):
    """Both ways to compute top-1 experts: as on a CPU, and as on a GPU or in a compiled step."""
    monkeypatch.setattr(methods.parts.smoa, "counts_are_at_hand", lambda s: request.param == "by expert")


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize(("modality", "by_loop"), [("image", image_by_loop), ("points", points_by_loop)])
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_output_loss_and_routing_equal_a_loop_over_sub_tokens(modality, by_loop, switches):
    model, x, y = model_on(modality, **switches), tiny.inputs(modality, 2), torch.tensor([0, 3])
    with torch.no_grad():
        features, uses = by_loop(model, x)
        logits = features @ model.head.weight.T + model.head.bias
        tiny.close(model(x), logits)
        torch.testing.assert_close(model.method.routing(), uses, rtol=1e-5, atol=1e-6)
        weight = 0.0 if switches.get("routing") == "dense" else switches.get("balance", 0.01)
        expected = F.cross_entropy(logits, y) + weight * sum(map(balance_of, uses)) / tiny.DEPTH
        tiny.close(model.method.loss(model, x, y, F.cross_entropy), expected)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("alike", [False, True], ids=["all experts", "one expert"])
def test_smoa_has_the_gradients_of_the_loop(alike):
    smoa = model_on("image").method.smoas[0]
    torch.manual_seed(4)
    u, weight = torch.randn(2, 6, tiny.WIDTH), torch.randn(2, 6, tiny.WIDTH)
    if alike:  # every sub-token is the same, so three experts have none
        u = u[:1, :1, : tiny.WIDTH // HEADS].repeat(2, 6, HEADS)
    u.requires_grad_()
    grads = []
    for compute in (smoa, lambda u: smoa_by_loop(smoa, u)):
        a, use = compute(u)
        assert (use[0] > 0).sum() == (1 if alike else EXPERTS)
        grads.append(torch.autograd.grad((a * weight).sum() + balance_of(use), [u, *smoa.parameters()]))
    for ours, loop in zip(*grads, strict=True):
        tiny.close(ours, loop)


def test_products_of_a_step_are_those_of_one_expert_on_a_cpu(monkeypatch):
    smoa = model_on("image").method.smoas[0]
    u, width = torch.randn(2, 6, tiny.WIDTH), tiny.WIDTH // HEADS
    counted = {}
    for by_expert in (True, False):
        monkeypatch.setattr(methods.parts.smoa, "counts_are_at_hand", lambda s, by_expert=by_expert: by_expert)
        with FlopCounterMode(display=False) as counter:
            smoa(u)
        counted[by_expert] = counter.get_total_flops()
    sub_tokens, experts = 2 * 6 * HEADS, 2 * HIDDEN * 2 * width
    bias = 2 * width  # of one expert; of all it is a product with the gates
    assert counted[False] - counted[True] == sub_tokens * (EXPERTS - 1) * (experts + bias)


def test_count_equals_the_published_on_images():
    sub = 768 // 3
    experts = 4 * (sub * 64 + 64 + 64 * sub + sub)
    router = sub * 16 + 4 * 16
    assert (experts, router) == (132_352, 4_160)
    assert tiny.count("adapterx") == experts + router + 12 * 2 * 768 + 12 * 2 * 768 + 768 == 174_144


def test_count_equals_the_published_on_points():
    own, total = tiny.count_with_head("adapterx", 15)
    assert own == 9_216 + 31_408  # prompt generators and SMoA
    assert total == own + 9_216 + 768 + 365_839 == 416_447  # norm2 of the blocks, the last norm and the head


def test_every_switch_changes_the_count_by_what_it_adds_or_takes_away():
    smoa, generators, norm2 = 132_352 + 4_160, 18_432, 18_432
    whole = tiny.count("adapterx")
    assert whole - tiny.count("adapterx", prompts=False) == generators
    assert whole - tiny.count("adapterx", norm2=False) == norm2
    assert tiny.count("adapterx", shared=False) - whole == 11 * smoa
    assert tiny.count("adapterx", variant="dynamic") - whole == 12 * 769
    assert tiny.count("adapterx", variant="sequential") == tiny.count("adapterx", routing="dense") == whole
    wide = 4 * (2 * 768 * 64 + 64 + 768) + 768 * 16 + 64
    assert tiny.count("adapterx", heads=1) == wide + generators + norm2 + 768


def test_loss_rescales_expert_embeddings_that_start_orthogonal():
    model, x = tiny.wire("adapterx", "image"), tiny.inputs("image")
    embeddings = model.method.smoas[0].router.embeddings
    torch.testing.assert_close(embeddings @ embeddings.T, 0.32**2 * torch.eye(EXPERTS), rtol=0, atol=1e-6)
    with torch.no_grad():
        before = model(x)
        model.method.loss(model, x, torch.arange(4), F.cross_entropy)
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.full((EXPERTS,), 1.5))
        torch.testing.assert_close(model(x), before, rtol=1e-5, atol=1e-6)  # the scores do not see the norm


def test_experts_start_at_nothing_and_prompts_at_beta():
    model = tiny.wire("adapterx", "image")
    a, _ = model.method.smoas[0](torch.randn(2, 5, tiny.WIDTH))
    assert not a.any()
    for generator in model.method.generators:
        assert torch.equal(generator(a), generator.beta.expand(2, 1, -1))


@pytest.mark.parametrize(("pool", "class_token"), [("token", True), ("avg", True), ("avg", False)])
def test_pooling_never_sees_the_prompts(pool, class_token):
    body = tiny.vit(depth=2, global_pool=pool, class_token=class_token)
    method = methods.build("adapterx", backbones.describe(body), methods.config("adapterx", {}))
    seen = []
    body.norm.register_forward_hook(lambda module, args, output: seen.append((args[0].shape, output.shape)))
    pooled = body(tiny.inputs("image"))
    tokens = 16 + class_token
    assert seen == [((4, tokens, 48), (4, tokens, 48))]
    assert pooled.shape == (4, 48)
    assert method.features(pooled) is pooled


def test_report_is_the_routing_over_all_training_samples():
    model, x = model_on("image"), tiny.inputs("image", 300)  # more than one batch
    with torch.no_grad():
        model(x)
        fraction, probability = model.method.routing().unbind(1)
    routing = model.method.report(SimpleNamespace(model=model, x=x, eval_batch_size=128))["routing"]
    torch.testing.assert_close(torch.tensor(routing["allocation"]), fraction, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.tensor(routing["score"]), probability, rtol=1e-5, atol=1e-6)
