"""Published checkpoints of point transformers: their layouts, what is refused, and what starts fresh."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks import run
from benchmarks.backbones.point_models import MODELS, build_point
from benchmarks.backbones.points import PointTransformer
from benchmarks.records.spec import Spec
from benchmarks.sweeps import sweep, wiring
from benchmarks.training import model, task_files
from benchmarks.training.train import Trainer
from methods.errors import UserError
from tests.support.bait import Bait

TINY = dict(embed_dim=24, depth=2, num_heads=3, num_groups=6, group_size=4, widths=(8, 8, 8), pos_width=8)
TOKENS = {"cls_token", "cls_pos"}
State = dict[str, Tensor]
Layout = Callable[[State], dict[str, object]]
Complaint = Callable[..., str]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch):
    """The published architectures, made small."""
    for name in ("point_mae", "point_act", "point_recon", "point_bert"):
        reduced = {"reduced_from": 16} if name == "point_bert" else {}
        monkeypatch.setitem(MODELS, name, partial(PointTransformer, **TINY, **reduced))
    yield
    for known in (wiring.bare, wiring.misfit):  # they hold the small architectures
        known.cache_clear()


def original(name: str = "point_mae") -> PointTransformer:
    torch.manual_seed(7)
    return MODELS[name]().eval()


def nested(state: State) -> State:
    """Blocks as the authors nest them."""
    return {name.replace("blocks.", "blocks.blocks."): tensor for name, tensor in state.items()}


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def beside(*names: str) -> State:
    return {name: torch.randn(3) for name in names}


DECODER = beside("mask_token", "decoder_pos_embed.0.weight", "increase_dim.0.bias")


def point_mae(state: State) -> dict[str, object]:
    plain = {name: tensor for name, tensor in state.items() if name not in TOKENS}
    tensors = prefixed("MAE_encoder.", nested(plain)) | beside("MAE_decoder.blocks.0.norm1.weight") | DECODER
    return {"base_model": prefixed("module.", tensors), "epoch": 300, "metrics": {"acc": np.float64(91.5)}}


def point_bert(state: State) -> dict[str, object]:
    inner = nested(state) | beside("mask_token", "lm_head.weight", "cls_head.0.weight")
    tensors = prefixed("transformer_q.", inner) | prefixed("transformer_k.", inner)
    return {"base_model": prefixed("module.", tensors | beside("queue", "queue_ptr", "dvae.encoder.first_conv.0.bias"))}


def act(state: State) -> dict[str, object]:
    inner = nested(state) | beside("lm_head.bias", "cls_head.2.weight")
    outer = beside("cls_pos", "dvae_tokenizer.x", "proj_head.0.weight", "ACT_decoder.norm.weight")
    return {"model": outer | prefixed("ACT_encoder.", inner) | DECODER}


def recon(state: State) -> dict[str, object]:
    branch = ("norm1_contrast.weight", "mlp_contrast.fc1.bias", "attn_contrast.kv.weight", "norm2_contrast.bias")
    inner = nested(state) | beside("img_token", "text_pos", *(f"blocks.blocks.1.{name}" for name in branch))
    outer = beside(
        "img_encoder.model.patch_embed.proj.weight", "text_proj.weight", "cls_proj.0.weight", "MAE_decoder.norm.bias"
    )
    return {"base_model": prefixed("MAE_encoder.", inner) | outer | DECODER}


def finetuned(state: State) -> dict[str, object]:
    return {"base_model": prefixed("module.", nested(state) | beside("cls_head_finetune.0.weight"))}


def doubled(state: State) -> dict[str, object]:
    return {"state_dict": prefixed("base_model.", nested(state))}


def bare(state: State) -> dict[str, object]:
    return dict(state)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("point_mae", point_mae),
        ("point_bert", point_bert),
        ("point_act", act),
        ("point_recon", recon),
        ("point_mae", finetuned),
        ("point_mae", doubled),
        ("point_bert", bare),
    ],
)
def test_every_published_layout_loads_whole(name, layout, tmp_path):
    source = original(name)
    torch.save(layout(source.state_dict()), tmp_path / "w.pth")
    loaded = build_point(name, pretrained=True, drop_path=0.0, weights=tmp_path / "w.pth")
    fresh = TOKENS if layout is point_mae else set()
    assert loaded.fresh == fresh
    expected = source.state_dict()
    assert {n for n, tensor in loaded.state_dict().items() if not torch.equal(tensor, expected[n])} == fresh


def test_safetensors_hold_the_same_names(tmp_path):
    source = original("point_mae")
    half = {name: t.half() if t.is_floating_point() else t for name, t in source.state_dict().items()}
    save_file(prefixed("MAE_encoder.", nested(half)), tmp_path / "w.safetensors")
    loaded = build_point("point_mae", pretrained=True, drop_path=0.0, weights=tmp_path / "w.safetensors")
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.norm.weight, half["norm.weight"].float())


def refusal(path: Path) -> str:
    with pytest.raises(UserError, match="cannot load") as raised:
        build_point("point_mae", pretrained=True, drop_path=0.0, weights=path)
    assert path.name in str(raised.value) and "\n" not in str(raised.value)
    return str(raised.value)


def test_a_pickle_that_runs_code_is_refused_and_not_executed(tmp_path):
    content = {"base_model": original("point_mae").state_dict(), "metrics": Bait(tmp_path / "proof")}
    torch.save(content, tmp_path / "w.pth")
    assert "refused" in refusal(tmp_path / "w.pth")
    assert not (tmp_path / "proof").exists()
    torch.load(tmp_path / "w.pth", weights_only=False)  # it would have run
    assert (tmp_path / "proof").exists()


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 5000])
def test_a_cut_file_is_refused(ending, kept, tmp_path):
    path = tmp_path / f"w.{ending}"
    (save_file if ending == "safetensors" else torch.save)(original("point_mae").state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    assert "refused" in refusal(path)


def without(*names: str) -> Callable[[State], State]:
    return lambda state: {name: tensor for name, tensor in state.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (without("norm.weight", "blocks.1.mlp.fc1.bias"), "missing: blocks.1.mlp.fc1.bias, norm.weight"),
        (without("cls_pos"), "missing: cls_pos"),
        (without("norm.bias", *TOKENS), "missing: norm.bias"),
        (lambda state: state | beside("pos.bias", "other"), "left over: other, pos.bias"),
        (lambda state: state | beside("norm.bias"), "of another shape: norm.bias (3,) for (24,)"),
        (lambda state: prefixed("x.", state), " and "),
        (lambda state: {"epoch": 3}, "holds no tensors"),
        (lambda state: [1, 2], "refused"),
    ],
)
def test_what_does_not_fit_is_listed(change, part, tmp_path):
    torch.save(change(original("point_mae").state_dict()), tmp_path / "w.pth")
    line = refusal(tmp_path / "w.pth")
    assert part in line
    assert not part.startswith(("missing", "left", "of ")) or line.endswith(part)


def spec(method: str, path: Path) -> Spec:
    return sweep.specs(sweep.Sweep(methods=(method,), tasks=("solids",), backbone=(f"point_mae@{path}",)), "float32")[0]


def saved(path: Path, layout: Layout) -> Path:
    torch.save(layout(original("point_mae").state_dict()), path)
    return path


METHODS = pytest.mark.parametrize("method", ["lora", "linear", "adapterx", "bitfit", "dapt", "full"])


def tuned_from_fresh_tokens(method: str, folder: Path) -> tuple[model.Classifier, Spec]:
    asked = spec(method, saved(folder / "mae.pth", point_mae))
    torch.manual_seed(0)
    return model.build(asked), asked


def clouds() -> Tensor:
    return torch.randn(4, 256, 3, generator=torch.Generator().manual_seed(0))


@METHODS
def test_fresh_tokens_train_with_every_method_until_it_is_detached(method, tmp_path):
    tuned, _ = tuned_from_fresh_tokens(method, tmp_path)
    tuned.train()(clouds()).square().sum().backward()
    for name in TOKENS:
        token = tuned.backbone.get_parameter(name)
        assert token.grad is not None and token.grad.abs().sum() > 0
        groups = [group for group in tuned.method.param_groups(tuned) if any(p is token for p in group["params"])]
        assert [group["weight_decay"] for group in groups] == [0]
    tuned.method.detach()
    assert not any(parameter.requires_grad for parameter in tuned.backbone.parameters())


@METHODS
def test_fresh_tokens_are_in_the_task_file(method, tmp_path):
    tuned, asked = tuned_from_fresh_tokens(method, tmp_path)
    with torch.no_grad():
        for name in TOKENS:
            tuned.backbone.get_parameter(name).add_(1)
    task_files.save(tuned, asked, tmp_path / "task.safetensors")
    with torch.inference_mode():
        assert torch.equal(task_files.load(tmp_path / "task.safetensors")(clouds()), tuned.eval()(clouds()))


@pytest.mark.parametrize("method", ["lora", "linear", "bitfit"])
def test_fresh_tokens_are_counted_and_loaded_ones_stay_frozen(method, tmp_path):
    counts = []
    for layout in (point_mae, finetuned):
        tuned = model.build(spec(method, saved(tmp_path / f"{layout.__name__}.pth", layout)))
        counts.append(tuned.count()["method"])
        assert tuned.backbone.cls_token.requires_grad is (layout is point_mae)
    assert counts[0] - counts[1] == 2 * 24


@pytest.mark.parametrize(("layout", "moves"), [(point_mae, True), (finetuned, False)])
def test_a_token_that_trains_is_not_behind_cached_features(layout, moves, tmp_path):
    x, y = torch.randn(8, 64, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    asked = spec("linear", saved(tmp_path / "w.pth", layout))
    tuned, device = model.build(asked), torch.device("cpu")
    trainer = Trainer(tuned, asked.recipe, lambda split: (x, y), seed=0, device=device, dtype=torch.float32)
    before = tuned.backbone.get_parameter("cls_token").detach().clone()
    tuned.method.fit(trainer)
    assert torch.equal(tuned.backbone.get_parameter("cls_token"), before) is not moves


def test_a_backbone_without_weights_is_refused_before_any_run(tmp_path, complaint):
    asked = ["--methods", "scratch", "lora", "--tasks", "solids", "--backbone", "point_mae"]
    line = complaint(run.main, *asked, "--results", str(tmp_path / "r"))
    assert "lora" in line and "--backbone point_mae@FILE" in line
    assert not (tmp_path / "r").exists()


def test_scratch_needs_no_weights():
    asked = sweep.Sweep(methods=("scratch",), tasks=("solids",), backbone=("point_mae",))
    assert len(sweep.specs(asked, "float32")) == 1
