"""Checkpoints of PointGPT and Point-FEMAE in their published layouts: what loads, what it computes, what is refused.

The expected features are computed from the tensors of the file, under their published names, one cloud and one token at
a time.
"""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from benchmarks.backbones import checkpoints
from benchmarks.backbones.grouping import group
from benchmarks.backbones.origins import check_origin
from benchmarks.backbones.point_femae import PointFEMAE
from benchmarks.backbones.point_gpt import PointGPT
from benchmarks.backbones.point_models import MODELS, build_point
from methods.errors import UserError
from tests.support import point_files

SMALL, LARGE = (128, 256, 512), (256, 512, 1024, 2048)
SIZES = {"small": (384, 12, SMALL), "base": (768, 12, LARGE), "large": (1024, 24, LARGE)}
WIDTH, DEPTH, HEADS, GROUPS = 24, 2, 3, 22
TINY = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "num_groups": GROUPS, "group_size": 4}
FRESH = {"cls_token", "cls_pos", "cls_norm.weight", "cls_norm.bias"}


@pytest.mark.parametrize(
    ("shapes", "millions"),
    [
        (point_files.gpt(*SIZES["small"], classes=15), 29.2),
        (point_files.gpt(*SIZES["base"], classes=15), 120.5),
        (point_files.gpt(*SIZES["large"], classes=15), 360.5),
        (point_files.femae(384, 12, SMALL, classes=15), 27.4),
        (point_files.femae(384, 12, SMALL), 41.5),
    ],
)
def test_the_layouts_have_the_published_counts(shapes, millions):
    """Those of PointGPT include the generator, and that of pretraining Point-FEMAE its decoders."""
    assert round(point_files.count(shapes) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("point_gpt_small", 22_058_639),
        ("point_gpt_base_1k", 91_958_287),
        ("point_gpt_large", 309_870_863),
        ("point_femae", 27_428_623),
    ],
)
def test_counts_with_a_head_of_15_classes(name, total):
    with torch.device("meta"):
        model = MODELS[name]()
        head = model.make_head(model.head_hidden_size, 15)
    assert sum(p.numel() for part in (model, head) for p in part.parameters()) == total


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [None, 87])
def test_every_size_of_point_gpt_fits_its_file(size, classes):
    check_fit(f"point_gpt_{size}", point_files.gpt(*SIZES[size], classes=classes), FRESH if classes is None else set())


@pytest.mark.parametrize("classes", [None, 40])
def test_point_femae_fits_its_file(classes):
    check_fit("point_femae", point_files.femae(384, 12, SMALL, classes=classes), set())


def check_fit(name, published, lacking):
    with torch.device("meta"):
        own = {n: t.shape for n, t in MODELS[name]().state_dict().items() if n not in lacking}
        tensors = {n: torch.empty(shape) for n, shape in published.items()}
    check_origin(tensors, name)
    assert {n: t.shape for n, t in checkpoints.translated(tensors).items()} == own


def cloud():
    return torch.randn(2, 60, 3, generator=torch.Generator().manual_seed(1)) * 0.6


def loaded(monkeypatch, folder, name, model, state):
    monkeypatch.setitem(MODELS, name, model)
    content = {"base_model": {f"module.{n}": t for n, t in state.items()}, "epoch": 300, "metrics": {"acc": 91.5}}
    torch.save(content, folder / "w.pth")
    return build_point(name, pretrained=True, drop_path=0.0, weights=folder / "w.pth")


def product(state, name, x):
    bias = state.get(f"{name}.bias")
    return x @ state[f"{name}.weight"].flatten(1).T + (0 if bias is None else bias)


def layer_norm(state, name, x):
    centred = x - x.mean(-1, keepdim=True)
    return (
        centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * state[f"{name}.weight"]
        + state[f"{name}.bias"]
    )


def batch_norm(state, name, x):
    scaled = (x - state[f"{name}.running_mean"]) / (state[f"{name}.running_var"] + 1e-5).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def token(state, patch):
    """One token (D,) of the points (K, 3) of a patch, relative to its centre."""
    x = product(state, "encoder.first_conv.0", patch)
    for place in range(1, sum(n.startswith("encoder.first_conv.") and n.endswith("running_var") for n in state) + 1):
        x = batch_norm(state, f"encoder.first_conv.{3 * place - 2}", x).relu()
        x = product(state, f"encoder.first_conv.{3 * place}", x)
    x = torch.cat([x.amax(0).expand_as(x), x], dim=1)
    x = batch_norm(state, "encoder.second_conv.1", product(state, "encoder.second_conv.0", x)).relu()
    return product(state, "encoder.second_conv.3", x).amax(0)


def attention(qkv, *, causal):
    """Tokens (T, 3 D) -> (T, D), one head and one token at a time."""
    out = torch.zeros(len(qkv), WIDTH)
    for start in range(0, WIDTH, WIDTH // HEADS):
        q, k, v = (part[:, start : start + WIDTH // HEADS] for part in qkv.split(WIDTH, dim=1))
        for number, query in enumerate(q):
            seen = slice(0, number + 1) if causal else slice(None)
            weights = (k[seen] @ query / (WIDTH // HEADS) ** 0.5).softmax(0)
            out[number, start : start + WIDTH // HEADS] = weights @ v[seen]
    return out


def sine(center):
    """Positions (D,) of a centre: D / 3 numbers per coordinate, sine and cosine of 2 pi c in turn."""
    waves = [(math.sin(2 * math.pi * c), math.cos(2 * math.pi * c)) * (WIDTH // 3 // 2) for c in center.tolist()]
    numbers = [number for wave in waves for number in wave]
    return torch.tensor(numbers + [0.0] * (WIDTH - len(numbers)))


def in_a_chain(centers):
    order, left = [0], list(range(1, len(centers)))
    while left:
        order.append(min(left, key=lambda number: float((centers[number] - centers[order[-1]]).norm())))
        left.remove(order[-1])
    return order


def gpt_block(state, name, h):
    """The residual stream is the normalised one."""
    x = layer_norm(state, f"{name}.ln_1", h)
    qkv = x @ state[f"{name}.attn.in_proj_weight"].T + state[f"{name}.attn.in_proj_bias"]
    x = x + product(state, f"{name}.attn.out_proj", attention(qkv, causal=True))
    u = layer_norm(state, f"{name}.ln_2", x)
    return x + product(state, f"{name}.mlp.2", F.gelu(product(state, f"{name}.mlp.0", u)))


def gpt_features(state, neighborhoods, centers):
    order = in_a_chain(centers)
    patches = [token(state, neighborhoods[number]) for number in order]
    h = torch.stack([state["blocks.sos"], state["cls_token"].flatten(), *patches])
    pos = torch.stack(
        [state["cls_pos"].flatten(), state["sos_pos"].flatten(), *(sine(centers[number]) for number in order)]
    )
    for number in range(DEPTH):
        h = gpt_block(state, f"blocks.layers.{number}", h + pos)
    h = layer_norm(state, "blocks.cls_norm", layer_norm(state, "blocks.ln_f", h))
    return torch.cat([h[1], h[2:].amax(0)])


@pytest.mark.parametrize("widths", [(8, 12, 16), (8, 12, 16, 20)])
def test_point_gpt_computes_what_its_file_says(widths, monkeypatch, tmp_path):
    state = point_files.drawn(point_files.gpt(WIDTH, DEPTH, widths, classes=15))
    tiny = partial(PointGPT, **TINY, widths=widths, qkv_bias=True)
    model, x = loaded(monkeypatch, tmp_path, "point_gpt_small", tiny, state), cloud()
    with torch.no_grad():
        got = model(x)
        expected = torch.stack([gpt_features(state, *one) for one in zip(*group(x, GROUPS, 4), strict=True)])
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert model.fresh == set()
    assert torch.equal(got[0, :WIDTH], got[1, :WIDTH])  # the class token attends to no patch


def lem(state, name, y, centers):
    out = []
    for own, center in zip(y, centers, strict=True):
        near = sorted(range(len(y)), key=lambda number, at=center: float((centers[number] - at).norm()))[:20]
        edges = torch.stack([torch.cat([y[number] - own, own]) for number in near])
        edges = F.leaky_relu(batch_norm(state, f"{name}.conv1.1", product(state, f"{name}.conv1.0", edges)), 0.2)
        out.append(edges.amax(0))
    return F.leaky_relu(batch_norm(state, f"{name}.conv2.1", product(state, f"{name}.conv2.0", torch.stack(out))), 0.2)


def femae_features(state, neighborhoods, centers):
    x = torch.stack([token(state, patch) for patch in neighborhoods])
    pos = product(state, "pos_embed.2", F.gelu(product(state, "pos_embed.0", centers)))
    for name in (f"blocks.blocks.{number}" for number in range(DEPTH)):
        x = x + pos
        qkv = product(state, f"{name}.attn.qkv", layer_norm(state, f"{name}.norm1", x))
        x = x + product(state, f"{name}.attn.proj", attention(qkv, causal=False))
        hidden = F.gelu(product(state, f"{name}.mlp.fc1", layer_norm(state, f"{name}.norm2", x)))
        x = x + product(state, f"{name}.mlp.fc2", hidden)
        x = x + lem(state, f"{name}.cls", layer_norm(state, f"{name}.cls_norm", x), centers)
    x = layer_norm(state, "norm", x)
    return torch.cat([x.mean(0), x.amax(0)])


def test_point_femae_computes_what_its_file_says(monkeypatch, tmp_path):
    state = point_files.drawn(point_files.femae(WIDTH, DEPTH, (8, 12, 16), classes=15, hidden=8))
    tiny = partial(PointFEMAE, **TINY, widths=(8, 12, 16), pos_width=8)
    model, x = loaded(monkeypatch, tmp_path, "point_femae", tiny, state), cloud()
    with torch.no_grad():
        expected = torch.stack([femae_features(state, *one) for one in zip(*group(x, GROUPS, 4), strict=True)])
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
    assert model.fresh == set()


def test_pretrained_point_gpt_lacks_its_class_token_and_last_norm(monkeypatch, tmp_path):
    state = point_files.drawn(point_files.gpt(WIDTH, DEPTH, (8, 12, 16)))
    tiny = partial(PointGPT, **TINY, widths=(8, 12, 16), qkv_bias=True)
    model = loaded(monkeypatch, tmp_path, "point_gpt_small", tiny, state)
    assert model.fresh == FRESH
    assert torch.equal(model.norm.weight, state["GPT_Transformer.blocks.ln_f.weight"])
    assert torch.equal(model.cls_norm.weight, torch.ones(WIDTH))


LOOKS = "it looks like a checkpoint of"


@pytest.mark.parametrize(
    ("backbone", "names", "width", "line"),
    [
        ("point_mae", ["GPT_Transformer.blocks.sos"], 384, f"{LOOKS} PointGPT-S; give it as point_gpt_small@FILE"),
        ("point_gpt_small_1k", ["blocks.sos"], 768, f"{LOOKS} PointGPT-B; give it as point_gpt_base_1k@FILE"),
        ("point_gpt_base", ["sos"], 1024, f"{LOOKS} PointGPT-L; give it as point_gpt_large@FILE"),
        (
            *("point_gpt_large", ["MAE_encoder.pos_embed.0.weight"], 384),
            f"{LOOKS} Point-MAE, ACT or ReCon; give it as point_mae@FILE",
        ),
        (
            *("point_mae", ["MAE_encoder.blocks.blocks.0.cls.conv1.0.weight", "MAE_encoder.pos_embed.0.weight"], 384),
            f"{LOOKS} Point-FEMAE; give it as point_femae@FILE",
        ),
        (
            *("point_femae", ["transformer_q.reduce_dim.weight", "transformer_q.pos_embed.0.weight"], 384),
            f"{LOOKS} Point-BERT; give it as point_bert@FILE",
        ),
        ("point_mae", ["ACT_encoder.pos_embed.0.weight"], 384, f"{LOOKS} ACT; give it as point_act@FILE"),
        (
            *("point_act", ["MAE_encoder.blocks.blocks.0.norm1_contrast.weight"], 384),
            f"{LOOKS} ReCon; give it as point_recon@FILE",
        ),
        (
            *("point_bert", ["patch_embed.proj.weight"], 384),
            f"{LOOKS} a transformer for images; this backbone takes points",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_named(backbone, names, width, line, tmp_path):
    torch.save({name: torch.zeros(width) for name in names}, tmp_path / "w.pth")
    with pytest.raises(UserError) as error:
        build_point(backbone, pretrained=True, drop_path=0.0, weights=tmp_path / "w.pth")
    assert str(error.value) == f"cannot load {tmp_path / 'w.pth'} into backbone '{backbone}': {line}"


@pytest.mark.parametrize("backbone", ["point_mae", "point_mae_1k"])
def test_tensors_of_no_known_model_are_left_to_their_names(backbone):
    check_origin({"x": torch.zeros(1)}, backbone)
    with pytest.raises(UserError, match="Point-FEMAE"):
        check_origin({"blocks.0.cls.conv1.0.weight": torch.zeros(1)}, backbone)


def test_prompts_stand_before_the_patches_the_latest_first():
    torch.manual_seed(0)
    model = PointGPT(**TINY, widths=(8, 12, 16), qkv_bias=True).eval()
    own = 2 + GROUPS
    tokens = torch.randn(1, own + 3, WIDTH)
    order = [0, 1, own + 2, own + 1, own, *range(2, own)]
    block = model.blocks[0]
    names = {"norm1": "ln_1", "norm2": "ln_2", "attn.qkv.": "attn.in_proj_", "attn.proj": "attn.out_proj"}
    state = {}
    for name, tensor in block.state_dict().items():
        for ours, theirs in (names | {"mlp.fc1": "mlp.0", "mlp.fc2": "mlp.2"}).items():
            name = name.replace(ours, theirs)
        state[f"b.{name}"] = tensor
    with torch.no_grad():
        torch.testing.assert_close(
            block(tokens, own)[0, order], gpt_block(state, "b", tokens[0, order]), rtol=1e-5, atol=1e-5
        )
