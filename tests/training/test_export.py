"""Exported runs compute the same without this benchmark, and what cannot be exported is refused in one line."""

import json
from collections import OrderedDict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor, nn

from benchmarks import backbones, export, load_images, load_model
from benchmarks.backbones.images import vit_nano
from benchmarks.backbones.point_models import MODELS
from benchmarks.files.frames import Frame
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.sweeps import sweep
from benchmarks.training import model, task_files
from benchmarks.training.export import with_adapter
from methods.formats import hf_layout
from methods.lora import LoRA
from tests.support.made_records import result

Complaint = Callable[..., str]

NEEDS_PEFT = pytest.mark.skipif(
    find_spec("peft") is None, reason="Hugging Face PEFT is not installed: pip install 'peft-vision-bench[hf]'"
)


def inputs(task: str, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (4, 256, 3) if task == "solids" else (4, 3, size, size)
    return torch.randn(shape, generator=generator)


def saved(folder: Path, method: str, task: str = "digits", **asked: Any) -> tuple[Path, Tensor, Spec]:
    """The task file of a model whose trained weights have all moved, its logits, and its spec."""
    (spec,) = sweep.specs(sweep.Sweep(methods=(method,), tasks=(task,), **asked), "float32")
    torch.manual_seed(0)
    tuned = model.build(spec).eval()
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter += torch.randn_like(parameter) * 0.02
        logits = tuned(inputs(task, spec.backbone.image_size or 0))
    path = store.adapter_path(folder, spec)
    task_files.save(tuned, spec, path)
    return path, logits, spec


def exported(run: Path, folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of the plain checkpoint that is written for a task file."""
    out = folder / "m.safetensors"
    assert export.main([str(run), "-o", str(out)]) == 0
    with safe_open(out, framework="pt") as file:
        return load_file(out), file.metadata()


@torch.inference_mode()
def assert_same(model: nn.Module, x: Tensor, expected: Tensor):
    torch.testing.assert_close(model.eval()(x), expected, rtol=1e-4, atol=1e-4)


MERGING = ("full", "linear", "bitfit", "norm", "lora", "ssf", "fact_tt", "fact_tk", "repadapter", "bi_lora")


@pytest.mark.parametrize("method", [*MERGING, pytest.param("hf:lora", marks=NEEDS_PEFT)])
def test_a_checkpoint_loads_into_the_bare_architecture(method, tmp_path):
    path, expected, spec = saved(tmp_path, method)
    bare = vit_nano()
    bare.reset_classifier(spec.classes)
    bare.load_state_dict(exported(path, tmp_path)[0])
    assert_same(bare, inputs("digits"), expected)


def test_a_checkpoint_loads_into_timm_by_the_name_in_it(tmp_path):
    name, weights = "vit_tiny_patch16_224", tmp_path / "pretrained.safetensors"
    torch.manual_seed(3)
    save_file(timm.create_model(name, num_classes=0).state_dict(), weights)
    path, expected, spec = saved(tmp_path, "lora", backbone=(f"{name}@{weights}",), recipe={"resize": "checkpoint"})
    state, card = exported(path, tmp_path)
    assert (card["architecture"], card["run"], card["method"]) == (name, spec.key, "lora")
    assert (json.loads(card["mean"]), card["image_size"]) == ([0.5, 0.5, 0.5], "224")
    assert [card[field] for field in ("crop_mode", "crop_pct", "interpolation")] == ["center", "0.9", "bicubic"]
    assert json.loads(card["label_names"]) == list("0123456789")
    assert load_model(path).frame == Frame(224, "center", 0.9, "bicubic")
    bare = timm.create_model(card["architecture"], num_classes=int(card["num_classes"]))
    bare.load_state_dict(state)
    assert_same(bare, inputs("digits", 224), expected)


TINY = {  # architectures of timm, and the arguments that make them small
    "vit_tiny_patch16_224": {"img_size": 32, "embed_dim": 24, "depth": 2, "global_pool": "avg"},
    "eva02_tiny_patch14_224": {"img_size": 28, "embed_dim": 24, "depth": 2},
    "swin_tiny_patch4_window7_224": {
        **{"img_size": 32, "window_size": 4, "embed_dim": 24},
        **{"depths": (2, 1), "num_heads": (3, 3)},
    },
    "convnext_tiny": {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 16)},
}


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Put a small model of an architecture into the cache of the hub; returns the backbone's name."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(architecture: str) -> str:
        repository = f"me/{architecture}"
        snapshot = tmp_path / "hub" / f"models--{repository.replace('/', '--')}" / "snapshots" / "1"
        snapshot.mkdir(parents=True)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("1")
        arguments = TINY[architecture]
        look = {"input_size": (3, 32, 32), "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7), "crop_pct": 0.8}
        look["fixed_input_size"] = "img_size" in arguments
        config = {"architecture": architecture, "model_args": arguments, "pretrained_cfg": look}
        (snapshot / "config.json").write_text(json.dumps(config))
        torch.manual_seed(3)
        bare = timm.create_model(architecture, num_classes=0, **arguments)
        save_file(bare.state_dict(), snapshot / "model.safetensors")
        return f"hf-hub:{repository}"

    return put


@pytest.mark.parametrize("architecture", TINY)
def test_timm_makes_the_model_from_a_folder(architecture, on_hub, tmp_path):
    name, folder = on_hub(architecture), tmp_path / "photos"
    path, expected, spec = saved(tmp_path, "full", backbone=(name,), recipe={"resize": "checkpoint"})
    assert export.main([str(path), "--timm-dir", str(folder)]) == 0
    bare = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert bare.pretrained_cfg["label_names"] == list("0123456789")
    assert_same(bare, inputs("digits", spec.backbone.image_size or 0), expected)


@pytest.mark.parametrize("resize", ["squash", "checkpoint"])
def test_timm_sees_a_photo_as_the_model_here_does(resize, on_hub, tmp_path):
    path, _, _ = saved(tmp_path, "linear", backbone=(on_hub("convnext_tiny"),), recipe={"resize": resize})
    assert export.main([str(path), "--timm-dir", str(tmp_path / "photos")]) == 0
    bare = timm.create_model(f"local-dir:{tmp_path / 'photos'}", pretrained=True)
    pixels = torch.randint(256, (50, 70, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png")
    seen = create_transform(**resolve_model_data_config(bare))(Image.open(tmp_path / "a.png"))[None]
    model = load_model(path)
    torch.testing.assert_close(model.normalized(load_images([tmp_path / "a.png"], model.frame)), seen)
    assert_same(bare, seen, model(seen).detach())


def test_an_architecture_that_timm_lacks_has_no_folder(tmp_path, complaint):
    path, _, _ = saved(tmp_path, "lora")
    line = complaint(export.main, str(path), "--timm-dir", str(tmp_path / "photos"))
    assert line.startswith("timm has no architecture vit_nano; write a checkpoint for the class here with -o")
    assert not (tmp_path / "photos").exists()


def test_a_bias_that_the_bare_architecture_lacks_is_one_line(complaint, tmp_path):
    name, weights = "eva02_tiny_patch14_224", tmp_path / "pretrained.safetensors"
    save_file(timm.create_model(name, img_size=28, num_classes=0).state_dict(), weights)
    path, _, _ = saved(tmp_path, "ssf", backbone=(f"{name}:28@{weights}",))
    line = complaint(export.main, str(path), "-o", str(tmp_path / "m.safetensors"))
    assert "merging makes blocks.0.attn.qkv.bias, which timm's class does not have; keep its task file" in line


def test_a_distilled_model_loads_into_timm_with_both_its_heads(tmp_path):
    name, size, weights = "deit_tiny_distilled_patch16_224", 32, tmp_path / "pretrained.safetensors"
    torch.manual_seed(3)
    save_file(timm.create_model(name, img_size=size).state_dict(), weights)
    path, expected, spec = saved(tmp_path, "lora", backbone=(f"{name}:{size}@{weights}",))
    state, card = exported(path, tmp_path)
    assert (card["architecture"], card["image_size"]) == (name, str(size))
    bare = timm.create_model(name, num_classes=spec.classes, img_size=size)
    bare.load_state_dict(state)
    assert torch.equal(bare.head_dist.weight, bare.head.weight)
    assert_same(bare, inputs("digits", size), expected)


@pytest.mark.parametrize("method", MERGING)
def test_a_point_checkpoint_loads_into_the_point_transformer_and_its_head(method, tmp_path):
    path, expected, spec = saved(tmp_path, method, "solids")
    state, card = exported(path, tmp_path)
    assert card["qkv_bias"] == str(method == "ssf")  # only ssf adds a shift to qkv
    bare = MODELS[card["architecture"]](qkv_bias=card["qkv_bias"] == "True")
    whole = nn.Sequential(OrderedDict(body=bare, head=bare.make_head(bare.head_hidden_size, spec.classes)))
    whole.load_state_dict({name if name.startswith("head.") else f"body.{name}": t for name, t in state.items()})
    assert_same(whole, inputs("solids"), expected)


@pytest.mark.parametrize("method", ["lora", "ssf"])
@pytest.mark.parametrize(("task", "name"), [("digits", "vit_nano"), ("solids", "point_nano")])
def test_a_checkpoint_is_a_backbone_to_tune_again(task, name, method, tmp_path):
    path, _, _ = saved(tmp_path, method, task)
    exported(path, tmp_path)
    merged = task_files.load(path)
    merged.method.merge()
    again = backbones.build(f"{name}@{tmp_path / 'm.safetensors'}")
    with torch.inference_mode():
        assert torch.equal(again(inputs(task)), merged.pooled(inputs(task)))


def test_a_run_is_found_by_its_record_and_its_key(tmp_path):
    _, _, spec = saved(tmp_path, "linear")
    record = store.write(tmp_path, result(spec))
    for number, run in enumerate([spec.key[:8], str(record)]):
        out = tmp_path / f"{number}.safetensors"
        assert export.main([run, "-o", str(out), "--results", str(tmp_path)]) == 0
        assert out.is_file()


def test_the_task_file_of_another_run_under_the_name_of_a_run_is_refused(tmp_path, complaint):
    path, _, spec = saved(tmp_path, "linear")
    other, _, _ = saved(tmp_path, "bitfit")
    record = store.write(tmp_path, result(spec))
    other.replace(path)
    out = tmp_path / "m.safetensors"
    for run in (spec.key, str(record), str(path)):
        line = complaint(export.main, run, "-o", str(out), "--results", str(tmp_path))
        assert line.startswith(f"{path} holds another run than its name says: bitfit on digits, seed 0, key ")
    assert not out.exists()


@pytest.mark.parametrize(
    ("spec", "line"),
    [("{", "Expecting property name"), ("[]", "list indices must be integers"), ("{}", "'backbone'")],
)
def test_a_task_file_whose_spec_is_damaged_is_one_line(spec, line, tmp_path, complaint):
    path = tmp_path / "task.safetensors"
    save_file({"head.weight": torch.zeros(1)}, path, {"spec": spec})
    told = complaint(export.main, str(path), "-o", str(tmp_path / "m.safetensors"))
    assert told.startswith(f"cannot read the spec in task file {path}: {line}")


def test_a_task_file_whose_spec_leads_elsewhere_is_refused(tmp_path, complaint):
    path, _, spec = saved(tmp_path, "linear")
    away = tmp_path / "task.safetensors"
    metadata = {"spec": json.dumps(spec.to_json() | {"task": "../../up"})}
    save_file(load_file(path), away, metadata)
    told = complaint(export.main, str(away), "-o", str(tmp_path / "m.safetensors"))
    assert told.startswith(f"cannot read the spec in task file {away}: task '../../up' is no name;")


def test_a_method_that_cannot_be_merged_is_refused(tmp_path, complaint):
    path, _, _ = saved(tmp_path, "adapterx")
    line = complaint(export.main, str(path), "-o", str(tmp_path / "m.safetensors"))
    assert line.startswith("adapterx cannot become a plain checkpoint")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_merge_that_changes_what_is_computed_is_refused(tmp_path, complaint, monkeypatch):
    path, _, _ = saved(tmp_path, "lora")
    monkeypatch.setattr(LoRA, "merge", LoRA.remove_hooks)  # it forgets the updates
    line = complaint(export.main, str(path), "-o", str(tmp_path / "m.safetensors"))
    assert line.startswith("lora cannot become a plain checkpoint")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_method_other_than_lora_has_no_peft_layout(tmp_path, complaint):
    path, _, _ = saved(tmp_path, "bitfit")
    assert "only the updates of lora can" in complaint(export.main, str(path), "--peft", str(tmp_path / "peft"))
    assert not (tmp_path / "peft").exists()


@NEEDS_PEFT
def test_peft_and_timm_compute_what_the_task_file_does(tmp_path):
    from peft import PeftModel

    path, expected, spec = saved(tmp_path, "lora")
    assert export.main([str(path), "--peft", str(tmp_path / "peft")]) == 0
    bare = backbones.build("vit_nano")
    bare.reset_classifier(spec.classes)  # type: ignore[operator]
    assert_same(PeftModel.from_pretrained(bare, tmp_path / "peft"), inputs("digits"), expected)


@pytest.mark.parametrize("task", ["digits", "solids"])
def test_an_adapter_comes_back_as_a_task_file(task, tmp_path):
    path, expected, _ = saved(tmp_path, "lora", task)
    other, _, _ = saved(tmp_path / "other", "linear", task)
    folder, out = str(tmp_path / "peft"), tmp_path / "again.safetensors"
    assert export.main([str(path), "--peft", folder]) == 0
    for run in (path, other):  # the run may be of another method
        assert export.main([str(run), "--from-peft", folder, "--task", str(out)]) == 0
        assert all(torch.equal(value, load_file(path)[name]) for name, value in load_file(out).items())
        assert_same(task_files.load(out), inputs(task), expected)


def test_an_adapter_of_other_classes_is_refused(tmp_path, complaint, capsys):
    path, _, _ = saved(tmp_path, "lora")
    folder = str(tmp_path / "peft")
    assert export.main([str(path), "--peft", folder]) == 0
    capsys.readouterr()
    other, _, _ = saved(tmp_path / "other", "lora", "count")
    line = complaint(export.main, str(other), "--from-peft", folder, "--task", str(tmp_path / "again.safetensors"))
    assert line.startswith(f"{folder} does not fit vit_nano with 8 classes: ")


def test_a_bug_in_reading_an_adapter_keeps_its_traceback(tmp_path, monkeypatch):
    def broken(*given: object):
        raise RuntimeError("a bug")

    path, _, _ = saved(tmp_path, "lora")
    assert export.main([str(path), "--peft", str(tmp_path / "peft")]) == 0
    monkeypatch.setattr(hf_layout, "fill", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        with_adapter(path, tmp_path / "peft")


def test_an_export_that_does_not_fit_on_the_disk_is_one_line_and_no_file(tmp_path, limited, complaint):
    run, _, _ = saved(tmp_path / "results", "linear")
    out = tmp_path / "out" / "m.safetensors"
    with limited(10_000):
        told = complaint(export.main, str(run), "-o", str(out))
    assert told == f"cannot write {out}: file too large. Correct that and run the command again."
    assert list(out.parent.iterdir()) == []
