"""Trained models as plain checkpoints and folders of timm, and from the files of Hugging Face PEFT and of PETL-ViT."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

import methods
from benchmarks import backbones
from benchmarks.backbones.images import model_arguments
from benchmarks.backbones.names import parse
from benchmarks.files.writing import write_atomic
from benchmarks.records.spec import Recipe, Spec
from benchmarks.suites import vtab1k
from benchmarks.training import model, task_files
from benchmarks.training.model import Classifier
from methods.binary import Binary
from methods.errors import UserError, check
from methods.formats import hf_layout, petl_vit
from methods.lora import LoRA, LoRAConfig

POINTS = 2048  # per random cloud, as in the real suites
# what PETL-ViT's training has in place of the suite's recipe
PETL_VIT = {"clip_grad": 0.0, "normalization": "none", "checkpoint_rule": "best_test"}


def write_plain(merged: Classifier, spec: Spec, path: Path) -> None:
    """Save backbone and head of what ``folded`` returns under the names of the bare architecture."""
    write_atomic(path, _checkpoint(merged, spec))


def folded(tuned: Classifier, spec: Spec) -> Classifier:
    """The model with the method merged into the backbone, so that backbone and head alone compute the same.

    Raises:
        UserError: the method cannot be merged, so no plain checkpoint computes the same; or merging gave a linear a
            bias that timm's class has not.
    """
    tuned = tuned.merged(samples(tuned, spec))
    if not tuned.method.folded:
        raise UserError(
            f"{spec.method} cannot become a plain checkpoint: its new weights cannot be merged into the backbone's; "
            "keep its task file, or write a graph with --onnx or --torch-export"
        )
    if spec.backbone.modality == "image":
        with torch.device("meta"):
            bare = backbones.build(spec.backbone.name, pretrained=False).state_dict()
        new = sorted(set(tuned.backbone.state_dict()) - set(bare))
        check(
            not new,
            f"{spec.method} cannot become a plain checkpoint of {spec.backbone.name}: merging makes "
            f"{', '.join(new[:1])}, which timm's class does not have; keep its task file, or write a graph with "
            "--onnx or --torch-export",
        )
    return tuned


def _checkpoint(tuned: Classifier, spec: Spec) -> bytes:
    """The tensors of backbone and head by the names of the bare architecture, and the card."""
    # timm's distilled DeiT has two heads and takes their mean; the features here are the mean of their two tokens
    heads = {f"{name}.{key}": t for name in _heads(tuned.backbone) for key, t in tuned.head.state_dict().items()}
    both = tuned.backbone.state_dict() | heads
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in both.items()}
    return save(state, metadata=card(tuned, spec))


def _heads(backbone: nn.Module) -> list[str]:
    """The names of the classifiers in the bare architecture, such as "head", or "head.fc" of Swin and ConvNeXt."""
    ask = getattr(backbone, "get_classifier", None)  # timm's classes answer; point transformers have no classifier
    if ask is None:
        return ["head"]
    found = ask()
    places = found if isinstance(found, tuple) else (found,)
    return [name for name, module in backbone.named_modules() if any(module is place for place in places)]


def write_timm(merged: Classifier, spec: Spec, folder: Path) -> None:
    """Write ``model.safetensors`` and ``config.json``, from which timm makes the model by ``local-dir:FOLDER``.

    ``merged`` is what ``folded`` returns.

    Raises:
        UserError: timm has no such architecture.
    """
    known: Mapping[str, Any] = getattr(merged.backbone, "pretrained_cfg", {})
    check(
        "architecture" in known,
        f"timm has no architecture {parse(spec.backbone.name).model}; write a checkpoint for the class here with -o, "
        "or a graph with --onnx or --torch-export",
    )
    frame = spec.backbone.frame
    assert frame is not None, "timm's architectures take images"
    mean, std = (values.flatten().tolist() for values in (merged.mean, merged.std))
    side = frame.size
    stated = {name: known[name] for name in ("first_conv", "classifier", "fixed_input_size") if name in known}
    look = {"crop_mode": frame.crop_mode, "crop_pct": frame.crop_pct, "interpolation": frame.interpolation}
    config = {
        "architecture": known["architecture"],
        "num_classes": spec.classes,
        **({"label_names": spec.labels} if spec.labels else {}),
        "model_args": model_arguments(*parse(spec.backbone.name)[:2]),
        "pretrained_cfg": stated | look | {"input_size": (3, side, side), "mean": mean, "std": std},
    }
    write_atomic(folder / "model.safetensors", _checkpoint(merged, spec))
    write_atomic(folder / "config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def samples(tuned: Classifier, spec: Spec, count: int = 2, points: int = POINTS) -> Tensor:
    """Random images or clouds, which show whether a merged or exported model computes the same."""
    size, generator = spec.backbone.image_size, torch.Generator().manual_seed(0)
    if size is not None:
        return torch.randn(count, 3, size, size, generator=generator)
    # the category of a cloud, where its points have one, is the first
    return F.pad(torch.randn(count, points, 3, generator=generator), (0, int(tuned.kind.per_point)))


def card(tuned: Classifier, spec: Spec) -> dict[str, str]:
    """The metadata of the file: what is needed to use it. safetensors stores texts only."""
    card = {"format": "pt", "architecture": parse(spec.backbone.name).model, "num_classes": str(spec.classes)}
    if tuned.kind.per_point:
        card["head"] = "PartHead of benchmarks/backbones/parts.py"
    if spec.backbone.modality == "points":
        card["qkv_bias"] = str(any(name.endswith("attn.qkv.bias") for name in tuned.backbone.state_dict()))
    if spec.backbone.frame is not None:
        mean, std = (str(values.flatten().tolist()) for values in (tuned.mean, tuned.std))
        frame = {name: str(value) for name, value in spec.backbone.frame._asdict().items()}
        card |= {"image_size": frame.pop("size"), "mean": mean, "std": std} | frame
    if spec.labels:
        card["label_names"] = json.dumps(spec.labels, ensure_ascii=False)
    return card | {"task": f"{spec.suite}/{spec.task}", "method": spec.method, "run": spec.key}


def with_adapter(path: Path, folder: Path) -> tuple[Classifier, Spec]:
    """A model of the method lora whose updates and head come from a folder that PEFT saved.

    ``path`` is a task file of any method: it names the task and the backbone.

    Raises:
        UserError: a file cannot be read, or the adapter does not fit the backbone and the classes.
    """
    spec, adapter = task_files.read(path)[0], hf_layout.read(folder)
    hint = spec.config if isinstance(spec.config, LoRAConfig) else LoRAConfig()
    spec = replace(spec, method="lora", config=hf_layout.fitting(adapter.pairs, hint))
    tuned = model.build(spec)
    assert isinstance(tuned.method, LoRA)
    # what PEFT saved beside the updates must be the head
    head = {name.removeprefix("head."): tensor for name, tensor in adapter.rest.items()}
    misfit = f"{folder} does not fit {spec.backbone.name} with {spec.classes} classes"
    try:
        hf_layout.fill(tuned.method, tuned.backbone, adapter.pairs)
    except UserError as error:
        raise UserError(f"{misfit}: {error}") from None
    try:
        tuned.head.load_state_dict(head)
    except RuntimeError as error:  # torch's class for names and shapes that differ
        raise UserError(f"{misfit}: {' '.join(str(error).split())}") from None
    return tuned.eval(), spec


def with_petl_vit(path: Path, config: Path, backbone: str | None) -> tuple[Classifier, Spec]:
    """A model whose method and head come from a one-bit task file of PETL-ViT and the YAML file beside it.

    ``backbone`` is the one that the file was trained on, if it is another name or file than the suite's own. The spec
    says how PETL-ViT trains: images are not normalised, no gradient is clipped, and the best test epoch is kept. It
    does not say which data the authors had.

    Raises:
        UserError: a file cannot be read, or they do not fit each other, the task or the backbone.
    """
    card = petl_vit.card(config)
    task = vtab1k.SUITE.tasks[vtab1k.task_of(card.dataset)]
    check(card.classes == task.classes, f"{config}: {card.classes} classes, but {task.name} has {task.classes}")
    source = backbones.source(backbone or vtab1k.BACKBONE)
    check(source.modality == "image", f"backbone '{source.name}' takes points, but {task.name} has images")
    spec = Spec(
        method=card.method,
        config=methods.config(card.method, {"lr": 1e-3, **card.options}),
        backbone=source,
        suite=vtab1k.SUITE.name,
        task=task.name,
        classes=task.classes,
        labels=task.labels,
        data_fingerprint=backbones.ABSENT,
        recipe=Recipe(**{**vtab1k.RECIPE, **PETL_VIT}),  # type: ignore[arg-type]
        seed=42,
        dtype="float32",
    )
    tuned = model.build(spec)
    assert isinstance(tuned.method, Binary) and isinstance(tuned.head, nn.Linear)
    petl_vit.fill(tuned.method, tuned.head, path, binary_head=card.binary_head)
    return tuned.eval(), spec
