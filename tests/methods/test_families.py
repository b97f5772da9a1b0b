"""Methods on every family of backbones: what they train, what they act on, and which pairs cannot work."""

import pytest
import timm
import torch
from timm.layers import GluMlp
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.contract import checks
from methods.errors import UserError
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("one_thread")
NEED_ATTENTION = sorted(name for name in methods.METHODS if methods.get(name).needs_attention)
NEED_GRID = sorted(name for name in methods.METHODS if methods.get(name).needs_grid)


def trained(name, body, **options):
    """The number of parameters that a method trains on a backbone, head excluded."""
    with torch.device(next(body.parameters()).device):
        method = methods.build(name, backbones.describe(body), methods.config(name, options))
    return sum(p.numel() for part in (body, method) for p in part.parameters() if p.requires_grad)


def on_meta(name):
    with torch.device("meta"):
        return timm.create_model(name, num_classes=0)


@pytest.mark.parametrize("family", tiny.FAMILIES)
@torch.no_grad()
def test_a_described_backbone_computes_what_timm_computes(family):
    body, x = tiny.backbone(family), tiny.inputs(family)
    before, keys = body(x), list(body.state_dict())
    backbones.describe(body)
    backbones.describe(body)
    torch.testing.assert_close(body(x), before, rtol=1e-5, atol=1e-6)
    assert list(body.state_dict()) == keys


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("vit", {"class_token": False, "global_pool": "avg", "fc_norm": True}),
        ("vit", {"class_token": False, "global_pool": "map"}),
        ("vit", {"reg_tokens": 2, "init_values": 0.5, "no_embed_class": True}),
        ("vit", {"pre_norm": True, "embed_norm_layer": nn.LayerNorm}),
        ("vit", {"mlp_layer": GluMlp, "img_size": (32, 32), "patch_size": 16}),
        ("eva", {"qkv_fused": False, "swiglu_mlp": False, "scale_mlp": False}),
        ("eva", {"rope_type": "dinov3", "rope_rotate_half": True, "use_abs_pos_emb": False, "qkv_bias": False}),
        ("eva", {"rope_type": "mixed", "attn_type": "rope", "global_pool": "map"}),
        ("swin", {"img_size": 40, "window_size": 3}),  # windows that do not divide the grid
    ],
)
@pytest.mark.parametrize("name", ["lora", "adapterx", "ssf", "vpt_deep", "repadapter"])
def test_kinds_of_a_family_train_and_merge(name, kind, options):
    body = getattr(tiny, kind)(**options)
    x = torch.randn(4, 3, *[options.get("img_size", 32)] * 2) if kind == "swin" else tiny.inputs("image")
    model = tiny.trained(name, kind, body=body)
    assert all(gradient.isfinite().all() for gradient in checks.gradients(model, x).values())
    checks.check_merge(model.eval(), x, tolerance=1e-4)


@pytest.mark.parametrize("name", NEED_ATTENTION)
def test_what_needs_attention_is_refused_on_convnext(name):
    prompts = "prompts act through attention, and ConvNeXt has none"
    with pytest.raises(UserError, match=f"^[a-z0-9_]+: ({prompts}|acts on attention, which the blocks .* do not have)"):
        trained(name, tiny.convnext())


@pytest.mark.parametrize("name", NEED_GRID)
def test_what_needs_a_grid_is_refused_on_convnext(name):
    with pytest.raises(UserError) as error:
        trained(name, tiny.convnext())
    assert str(error.value) == f"{name}: acts on the grid of patches, which the blocks of this backbone do not state"


def test_adapterx_on_convnext_says_what_to_set():
    with pytest.raises(UserError, match=r"prompts act through attention, and ConvNeXt has none"):
        trained("adapterx", tiny.convnext())
    assert trained("adapterx", tiny.convnext(), prompts=False) > 0


def test_trained_norms_of_adapterx_are_those_before_the_ffn():
    found = methods.get("adapterx").unfrozen(backbones.describe(tiny.swin()))
    norms = {f"layers.{place}.norm2" for place in ("0.blocks.0", "0.blocks.1", "1.blocks.0")}
    assert found == {f"{norm}.{part}" for norm in norms for part in ("weight", "bias")}
    found = methods.get("adapterx").unfrozen(backbones.describe(tiny.convnext(depth=1)))
    assert found == {f"stages.{s}.blocks.0.norm.{part}" for s in range(4) for part in ("weight", "bias")}


def test_counts_on_swin_tiny_equal_the_closed_forms():
    widths = [(96, 2), (192, 2), (384, 6), (768, 2)]  # of the stages, and their blocks
    assert trained("lora", on_meta("swin_tiny_patch4_window7_224")) == sum(2 * 8 * 2 * d * n for d, n in widths)
    adapters = sum(n * (2 * d * 8 + 8 + d) for d, n in widths)
    assert trained("adapter", on_meta("swin_tiny_patch4_window7_224")) == adapters
    # one bank per stage: U and V, and 12 slices of a block (qkv 3, proj 1, fc1 4, fc2 4)
    fact = sum(2 * d * 16 + 12 * n * 16**2 for d, n in widths)
    assert trained("fact_tt", on_meta("swin_tiny_patch4_window7_224")) == fact
    prompts = sum(n * 50 * d for d, n in widths)
    assert trained("vpt_deep", on_meta("swin_tiny_patch4_window7_224")) == prompts
    assert trained("vpt_shallow", on_meta("swin_tiny_patch4_window7_224")) == 50 * 96
    experts = sum(4 * (2 * d // 3 * 64 + 64 + d // 3) + 16 * d // 3 + 4 * 16 for d, _ in widths)
    assert trained("adapterx", on_meta("swin_tiny_patch4_window7_224")) == experts + sum(4 * d * n for d, n in widths)


def test_counts_on_eva_and_convnext_equal_the_closed_forms():
    assert trained("lora", on_meta("eva02_tiny_patch14_224")) == 12 * 2 * 8 * 2 * 192
    assert trained("lora", on_meta("eva02_base_patch14_224")) == 12 * 2 * 8 * 2 * 768
    widths = [(96, 3), (192, 3), (384, 9), (768, 3)]
    ffn = sum(n * 2 * 8 * 5 * d for d, n in widths)
    assert trained("lora", on_meta("convnext_tiny"), targets=("fc1", "fc2")) == ffn
    # the stem's norm, of a downsampling its norm and its convolution, of a block conv_dw, norm, fc1 and fc2, last norm
    ssf = 2 * 96 + sum(2 * (d // 2 + d) for d, _ in widths[1:]) + sum(n * 2 * 7 * d for d, n in widths) + 2 * 768
    assert trained("ssf", on_meta("convnext_tiny")) == ssf


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vit_small_patch16_18x2_224", "its blocks are ParallelThingsBlock"),
        ("vit_base_patch16_xp_224", "its blocks are ParallelScalingBlock"),
        ("vit_base_patch16_rpn_224", "its blocks are ResPostBlock"),
        ("eva02_enormous_patch14_clip_224", "its blocks are EvaBlockPostNorm"),
        ("convnextv2_tiny", "its FFN is GlobalResponseNormMlp"),
        ("convnext_atto", "its FFN is Mlp of convolutions"),
        ("swinv2_tiny_window8_256", "SwinTransformerV2 is not a supported architecture"),
        ("resnet18", "ResNet is not a supported architecture"),
    ],
)
def test_an_architecture_that_no_method_can_wire_is_one_line(name, reason):
    with pytest.raises(UserError, match=reason):
        backbones.describe(on_meta(name))


class Bypassed(nn.Linear):
    """What timm's Eva does to qkv: the weight is read, and the module is never called."""

    def __call__(self, x):
        return nn.functional.linear(x, self.weight, self.bias)


def test_a_target_that_no_forward_pass_calls_is_refused():
    body = tiny.vit()
    body.blocks[1].attn.qkv.__class__ = Bypassed
    with pytest.raises(UserError) as error:
        trained("lora", body)
    assert str(error.value) == (
        "method 'lora' acts on blocks.1.attn.qkv (Bypassed), but VisionTransformer calls it 0 times in one forward "
        "pass and not once"
    )


def test_a_fused_qkv_of_eva_that_adds_its_own_biases_is_called():
    body = tiny.eva()
    assert body.blocks[0].attn.q_bias is not None and not body.blocks[0].attn.qkv_bias_separate
    model = tiny.trained("lora", "eva", body=body)
    assert all(gradient.any() for gradient in checks.gradients(model, tiny.inputs("eva")).values())


@torch.no_grad()
def test_prompts_on_eva_are_not_rotated():
    """A prompt has the same rotation wherever the patches are, as class token and registers."""
    body, x = tiny.eva(depth=1, swiglu_mlp=False, scale_mlp=False), tiny.inputs("eva", 1)
    model = tiny.trained("vpt_deep", "eva", body=body, prompts=2, dropout=0.0)
    seen = []
    body.blocks[0].attn.register_forward_pre_hook(lambda m, args, kwargs: seen.append(kwargs["rope"]), with_kwargs=True)
    model.pooled(x)
    sines, cosines = seen[0][..., -2:, :].chunk(2, dim=-1)
    assert not sines.any() and bool((cosines == 1).all()) and seen[0].shape[-2] == 16 + 2


@torch.no_grad()
def test_prompts_on_swin_equal_a_loop_over_windows():
    """Each window attends to its own tokens, with their relative positions, and to all prompts."""
    body = tiny.swin(depth=2, depths=(1, 1))
    model, x = tiny.trained("vpt_deep", "swin", body=body, prompts=3, dropout=0.0), tiny.inputs("swin", 1)
    grid = body.patch_embed(x)
    for stage, prompts in zip(body.layers, model.method.prompts, strict=True):
        grid, block = stage.downsample(grid), stage.blocks[0]
        h = torch.cat([grid.flatten(1, 2)[0], prompts.prompts])
        (rows, columns), normed = grid.shape[1:3], block.norm1(h)
        update = torch.zeros(rows, columns, h.shape[1])
        for top in range(0, rows, 4):
            for left in range(0, columns, 4):
                places = [r * columns + c for r in range(top, top + 4) for c in range(left, left + 4)]
                update[top : top + 4, left : left + 4] = window(block.attn, normed, places).unflatten(0, (4, 4))
        h = h[: rows * columns] + update.flatten(0, 1)
        h = h + block.mlp(block.norm2(h))
        grid = h.unflatten(0, (rows, columns))[None]
    tiny.close(model.pooled(x), body.norm(grid).mean((1, 2)))


def window(attn, normed, places):
    """Attention of the tokens of one window: head by head, over the window and three prompts."""
    tokens = torch.cat([normed[places], normed[-3:]])
    q, k, v = attn.qkv(tokens).chunk(3, dim=-1)
    bias, width = attn._get_rel_pos_bias()[0], q.shape[1] // attn.num_heads
    heads = []
    for head in range(attn.num_heads):
        part = slice(head * width, (head + 1) * width)
        scores = q[: len(places), part] @ k[:, part].T / width**0.5
        scores[:, : len(places)] += bias[head]
        heads.append(scores.softmax(dim=-1) @ v[:, part])
    return attn.proj(torch.cat(heads, dim=-1))


def test_a_distilled_deit_and_a_vit_share_one_description():
    described = backbones.describe(on_meta("deit_tiny_distilled_patch16_224"))
    assert [block.prefix_tokens for block in described.blocks] == [2] * 12
    assert described.widths == (192,) and isinstance(described.module, VisionTransformer)
