"""A trained model for use without this benchmark: a plain checkpoint, an adapter of Hugging Face PEFT, or back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors.torch import save

from benchmarks.files.writing import write_atomic
from benchmarks.records.spec import Spec
from benchmarks.training import model
from benchmarks.training.model import Classifier
from methods import hf_layout
from methods.errors import UserError
from methods.lora import LoRA, LoRAConfig


def write_plain(tuned: Classifier, spec: Spec, path: Path) -> None:
    """Merge the method, for good, and save backbone and head under the names that the bare architecture has.

    Raises:
        UserError: the method works beside the backbone, so that no plain checkpoint computes the same.
    """
    tuned.method.merge()
    if not tuned.method.folded:
        raise UserError(
            f"{spec.method} cannot become a plain checkpoint: it works beside the backbone's weights, not in them; "
            "its task file is the way to keep it"
        )
    head = {f"head.{name}": tensor for name, tensor in tuned.head.state_dict().items()}
    state = {name: t.detach().cpu().contiguous() for name, t in (tuned.backbone.state_dict() | head).items()}
    write_atomic(path, save(state, metadata=card(tuned, spec)))


def card(tuned: Classifier, spec: Spec) -> dict[str, str]:
    """What somebody who finds the file needs to use it; safetensors keeps texts."""
    card = {"format": "pt", "architecture": spec.backbone.name.partition("@")[0], "num_classes": str(spec.classes)}
    if spec.backbone.modality == "points":
        card["qkv_bias"] = str(any(name.endswith("attn.qkv.bias") for name in tuned.backbone.state_dict()))
    if spec.backbone.image_size is not None:
        size = str(spec.backbone.image_size)
        card |= {
            "image_size": size,
            "mean": str(tuned.mean.flatten().tolist()),
            "std": str(tuned.std.flatten().tolist()),
        }
    return card | {"task": f"{spec.suite}/{spec.task}", "method": spec.method, "run": spec.key}


def with_adapter(path: Path, folder: Path) -> tuple[Classifier, Spec]:
    """A model of lora on the task and backbone of a task file, with a head and updates that PEFT saved."""
    spec, adapter = model.read(path)[0], hf_layout.read(folder)
    hint = spec.config if isinstance(spec.config, LoRAConfig) else LoRAConfig()
    spec = replace(spec, method="lora", config=hf_layout.fitting(adapter.pairs, hint))
    tuned = model.build(spec)
    assert isinstance(tuned.method, LoRA)
    try:
        hf_layout.fill(tuned.method, tuned.backbone, adapter.pairs)
        tuned.head.load_state_dict({name.removeprefix("head."): tensor for name, tensor in adapter.rest.items()})
    except (RuntimeError, UserError) as error:
        raise UserError(f"{folder} does not fit {spec.backbone.name} with {spec.classes} classes: {error}") from None
    return tuned.eval(), spec
