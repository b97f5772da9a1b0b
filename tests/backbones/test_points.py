"""The point transformer: sampling and grouping against loops, published totals, what prompts may and may not change."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import backbones
from benchmarks.backbones.grouping import group
from benchmarks.backbones.point_models import MODELS, PUBLISHED, build_point
from benchmarks.backbones.points import PointTransformer
from methods.errors import UserError


def cloud(batch: int = 3, size: int = 40) -> torch.Tensor:
    return torch.randn(batch, size, 3, generator=torch.Generator().manual_seed(0))


def test_groups_are_the_nearest_neighbours_minus_their_centre():
    points = cloud()
    neighborhoods, centers = group(points, 5, 4)
    for one, near, middle in zip(points, neighborhoods, centers, strict=True):
        for patch, center in zip(near, middle, strict=True):
            order = sorted(range(len(one)), key=lambda i: float((one[i] - center).square().sum()))[:4]
            expected = {tuple(round(v, 4) for v in (one[i] - center).tolist()) for i in order}
            assert {tuple(round(v, 4) for v in row.tolist()) for row in patch} == expected


@pytest.mark.parametrize(
    ("name", "classes", "total"),
    [
        ("point_mae", 15, 22_093_327),
        ("point_mae", 40, 22_099_752),
        ("point_act", 15, 22_093_327),
        ("point_recon", 40, 22_099_752),
        ("point_mae_1k", 40, 22_099_752),
        ("point_bert", 15, 22_059_535),
        ("point_bert", 40, 22_065_960),
    ],
)
def test_totals_are_the_published_ones(name, classes, total):
    model = MODELS[name]()
    head = model.make_head(model.head_hidden_size, classes)
    assert sum(p.numel() for part in (model, head) for p in part.parameters()) == total


def test_every_published_architecture_has_one_for_1024_points_and_skips_the_origin():
    for name in PUBLISHED:
        assert MODELS[name].keywords["skip_origin"]
        assert MODELS[f"{name}_1k"].keywords == MODELS[name].keywords | {"num_groups": 64}
    assert PointTransformer().num_groups == 128


def test_multiply_adds_of_linears_and_convolutions_are_the_published_4_76_giga():
    model = PointTransformer().eval()
    head = model.make_head(768, 15).eval()
    linear = {torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.convolution}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head(model(cloud(1, 2048)))
    counts = counter.get_flop_counts()["Global"]
    assert sum(flops for op, flops in counts.items() if op in linear) / 2e9 == pytest.approx(4.7606, abs=1e-3)


def tiny() -> PointTransformer:
    torch.manual_seed(0)
    sizes = dict(embed_dim=24, depth=3, num_heads=3, num_groups=6, group_size=4, pos_width=8)
    return PointTransformer(**sizes, widths=(8, 8, 8)).eval()  # type: ignore[arg-type]


def test_prompts_at_the_end_join_the_sequence_but_not_the_pooled_patches():
    model = tiny()
    lengths = []
    model.blocks[0].register_forward_hook(lambda module, args, x: torch.cat([x, torch.full_like(x[:, :2], 100)], dim=1))
    model.blocks[2].register_forward_pre_hook(lambda module, args: lengths.append(args[0].shape[1]))
    pooled, patches = model.forward_tokens(cloud())
    assert lengths == [1 + 6 + 2]
    assert patches.shape == (3, 6, 24)
    assert torch.equal(pooled[:, 24:], patches.amax(1))


def test_position_is_added_before_every_block():
    model = tiny()
    for block in model.blocks:
        for last in (block.attn.proj, block.mlp.fc2):  # every block passes on what it gets
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    seen = []
    model.norm.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    points = cloud()
    neighborhoods, centers = group(points, 6, 4)
    model(points)
    expected = model.encoder(neighborhoods) + 3 * model.pos_embed(centers)
    assert torch.allclose(seen[0][:, 1:], expected, atol=1e-5)


def test_a_sample_does_not_depend_on_its_batch():
    model = tiny()
    points = cloud(4)
    assert torch.allclose(model(points)[1:2], model(points[1:2]), atol=1e-6)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=r"cannot load .*x\.safetensors into backbone 'point_nano'"):
        build_point("point_nano", pretrained=True, drop_path=0.0, weights=tmp_path / "x.safetensors")


def test_a_pretrained_backbone_without_weights_asks_for_a_file():
    with pytest.raises(UserError, match="point_mae@FILE"):
        build_point("point_mae", pretrained=True, drop_path=0.0, weights=None)


def test_a_cloud_needs_as_many_points_as_groups_and_as_a_group_has():
    names = ("point_mae", "point_mae_1k", "point_gpt_large", "point_femae_1k", "point_nano", "vit_nano")
    needed = dict(zip(names, (128, 64, 128, 64, 16, 0), strict=True))
    assert {name: backbones.fewest_points(name) for name in names} == needed
    with pytest.raises(UserError, match="at least 16"):
        backbones.build("point_nano")(torch.rand(1, 15, 3))
    backbones.build("point_nano")(torch.rand(1, 16, 3))
