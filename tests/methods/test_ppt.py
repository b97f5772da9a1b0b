"""PPT, against its equations token by token and its published total."""

import torch
import torch.nn.functional as F

from benchmarks.contract import checks
from tests.support import loops, tiny


def test_totals_equal_the_published():
    own, total = tiny.count_with_head("ppt", 15)
    assert own == 3 * (2 * 384 * 256 + 256 + 384) == 591_744
    first = (3 * 128 + 128) + 2 * 128 + (128 * 256 + 256)
    positions = (3 * 128 + 128) + (128 * 384 + 384)
    head = 3 * 384 * 256 + 256 * 256 + 256 * 15 + 6 * 256 + 15
    assert total == own + first + positions + 2 * 384 + head == 1_042_191  # the published 1.04 M


def test_the_networks_are_shared_by_all_blocks():
    counts = {sum(p.numel() for p in tiny.wire("ppt", "points", n, hidden=8).method.parameters()) for n in (1, 3)}
    assert counts == {3 * (2 * tiny.WIDTH * 8 + 8 + tiny.WIDTH)}


def network(part, token):
    return part[2].weight @ F.gelu(part[0].weight @ token + part[0].bias) + part[2].bias


@torch.no_grad()
def test_output_equals_a_loop_over_tokens():
    model, x = tiny.trained("ppt", "points", hidden=6), tiny.inputs("points", 2)
    method = model.method
    h, position = loops.point_tokens(model.backbone, x)
    h = torch.cat([h, h[:, 1:]], dim=1)  # the patches once more
    position = torch.cat([position, position[:, 1:]], dim=1)
    assert h.shape[1] == 1 + 4 + 4

    def beside(layer, h, u):
        return loops.each_token(lambda token: network(method.of_all, token), h)

    frozen = tiny.backbone("points")  # its blocks have no hooks
    for layer in range(tiny.DEPTH):
        h = h + position
        h[:, 1:5] += loops.each_token(lambda token: network(method.of_patches, token), h[:, 1:5])
        h[:, 5:] += loops.each_token(lambda token: network(method.of_prompts, token), h[:, 5:])
        h = loops.block(frozen, layer, h, beside=beside)
    h = loops.norm(frozen.norm, h)
    expected = torch.cat([h[:, 0], h[:, 1:5].mean(1), h[:, 5:].mean(1)], dim=-1)
    torch.testing.assert_close(model.features(x), expected, rtol=1e-4, atol=1e-4)


def test_first_layers_and_positions_train_with_their_statistics():
    model, x = tiny.wire("ppt", "points"), tiny.inputs("points")
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    checks.step(model, x)
    changed = {k for k, v in model.backbone.state_dict().items() if not torch.equal(v, before[k])}
    moved = {key.split(".")[0] for key in changed}
    assert moved == {"cls_token", "cls_pos", "encoder", "pos_embed"}
    assert all("first_conv" in key for key in changed if key.startswith("encoder"))
    assert {"encoder.first_conv.1.running_mean", "encoder.first_conv.1.running_var"} <= changed
