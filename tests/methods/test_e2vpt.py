"""E2VPT."""

import pytest
import torch

from benchmarks import backbones
from benchmarks.contract import checks
from tests.support import loops, tiny


@pytest.mark.parametrize(
    ("options", "expected"), [({}, 184_320), ({"shared": True}, 138_240), ({"prompts": 5, "rows": 2}, 82_944)]
)
def test_counts_equal_the_closed_form(options, expected):
    prompts, rows = options.get("prompts", 10), options.get("rows", 5)
    kinds = 1 if options.get("shared") else 2
    assert tiny.count("e2vpt", **options) == 12 * 768 * (prompts + kinds * rows) == expected


def attention(attn, normed, keys, values):
    """Attention of one sample (N, D), head by head, over its tokens and K more keys and values."""
    q, k, v = attn.qkv(normed).chunk(3, dim=-1)
    k, v = torch.cat([k, keys]), torch.cat([v, values])
    heads = []
    for start in range(0, q.shape[1], attn.head_dim):
        part = slice(start, start + attn.head_dim)
        heads.append((q[:, part] @ k[:, part].T / attn.head_dim**0.5).softmax(-1) @ v[:, part])
    return attn.proj(torch.cat(heads, dim=-1))


@pytest.mark.parametrize("shared", [False, True])
@torch.no_grad()
def test_output_equals_a_loop_over_samples_and_heads(shared):
    model = tiny.trained("e2vpt", "image", prompts=3, rows=2, pieces=4, shared=shared)
    method, body, x = model.method, tiny.backbone("image"), tiny.inputs("image", 2)
    method.masks.tokens[1] = 0
    method.masks.pieces[0, 2] = method.masks.pieces[2, 0] = 0
    samples = []
    for h in loops.image_tokens(body, x):
        for block, prompts, rows in zip(body.blocks, method.prompts, method.rows, strict=True):
            own = prompts.prompts.clone()
            own[1] = 0
            own[0, 24:36] = own[2, :12] = 0  # pieces of 12 features
            h = torch.cat([h[:17], own])
            values = rows.keys if shared else rows.values
            h = h + attention(block.attn, block.norm1(h), rows.keys, values)
            h = h + block.mlp(block.norm2(h))
        samples.append(body.norm(h)[0])
    tiny.close(model.pooled(x), torch.stack(samples))


@pytest.mark.parametrize("kind", ["eva", "swin"])
@torch.no_grad()
def test_rows_change_what_attention_computes(kind):
    model, x = tiny.trained("e2vpt", kind, dropout=0.0), tiny.inputs(kind)
    before = model.pooled(x)
    for rows in model.method.rows:
        rows.values += 1
    assert not torch.allclose(model.pooled(x), before, atol=1e-3)


def test_split_keys_and_values_get_their_own_rows():
    body = tiny.eva(qkv_fused=False)
    model = tiny.trained("e2vpt", "eva", body=body)
    hooked = checks.hooked(model)
    targets = backbones.describe(body).blocks[0].targets
    assert "k" in targets and {"blocks.0.attn.k_proj", "blocks.0.attn.v_proj"} <= hooked
    assert "blocks.0.attn.q_proj" not in hooked
    assert all(gradient.any() for gradient in checks.gradients(model, tiny.inputs("eva")).values())


def samples(split):
    generator = torch.Generator().manual_seed(len(split))
    return torch.randn(8, 3, 32, 32, generator=generator), torch.arange(8) % 3


def fitted(scratch=None, **options):
    run = tiny.trainer_of(
        "e2vpt", "image", samples, {"prompts": 4, "pieces": 4} | options, epochs=2, batch_size=4, warmup_epochs=0
    )
    run.outcomes.folder = scratch
    run.model.method.fit(run)
    return run


def test_half_is_pruned_after_a_first_training_and_training_starts_again():
    run = fitted(pruned=0.5, pruned_pieces=0.75)
    masks, method = run.model.method.masks, run.model.method
    assert masks.tokens.sum() == 2 and (masks.pieces.sum(1) == 1).all()
    assert [row["epoch"] for row in run.history] == [1, 2]  # of the second training
    told = method.report(run)["selection"]
    assert (told["steps"], told["prompts"]) == (4, 2) and told["seconds"] > 0
    assert method.epochs(100) == 201


def test_an_interrupted_run_keeps_what_was_pruned(tmp_path, same_state):
    first = fitted(tmp_path)
    again = tiny.trainer_of(
        "e2vpt", "image", samples, {"prompts": 4, "pieces": 4}, epochs=2, batch_size=4, warmup_epochs=0
    )
    again.outcomes.folder = tmp_path
    again.stage = None  # it would be called to train before pruning
    again.model.method.fit(again)
    assert same_state(again.model.state_dict(), first.model.state_dict())


def test_what_has_the_largest_gradients_of_the_masks_is_left():
    run = tiny.trainer_of(
        "e2vpt", "image", samples, {"prompts": 4, "pieces": 4}, epochs=1, batch_size=4, warmup_epochs=0
    )
    method, scores = run.model.method, (torch.tensor([3.0, 1.0, 2.0, 0.0]), torch.arange(16.0).view(4, 4))
    run.stage = lambda name, **given: {"steps": 2}
    run.gradients = lambda masks: iter([tuple(-score for score in scores), scores])
    chosen, _ = method.look(run)
    assert chosen["tokens"].tolist() == [1, 0, 1, 0]
    assert chosen["pieces"].tolist() == [[0, 0, 1, 1]] * 4


def test_without_pruning_there_is_one_training():
    run = fitted(pruned=0.0, pruned_pieces=0.0)
    assert len(run.history) == 2 and run.model.method.report(run) == {} and run.model.method.epochs(100) == 100
