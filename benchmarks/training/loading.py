"""Python that loads a plain checkpoint, for a person to copy."""

import json
from typing import Any

from benchmarks.backbones.images import model_arguments
from benchmarks.backbones.names import parse
from benchmarks.records.spec import Spec
from benchmarks.training.model import Classifier

POINTS = """\
from benchmarks.backbones.point_models import MODELS
from safetensors.torch import load_file

model = MODELS[{name}](qkv_bias={bias})
model.head = model.make_head(model.head_hidden_size, {classes})
model.load_state_dict(load_file({file}))
model.eval()  # model.head(model(x)) are logits of points x (B, N, 3) in the unit sphere"""
EMBEDDED = """\
from benchmarks.backbones.images import {name}
from safetensors.torch import load_file

model = {name}(size={size})
model.reset_classifier({classes})
model.load_state_dict(load_file({file}))
model.eval()  # model(x) are logits of normalised images x (B, 3, {size}, {size})"""
TIMM = """\
import timm

model = timm.create_model({name}, num_classes={classes}, checkpoint_path={file}{more})
model.eval()  # model(x) are logits of normalised images x (B, 3, {size}, {size})"""
BY_NAME = """\
import timm

model = timm.create_model({name}, pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
names = model.pretrained_cfg["label_names"]"""


def by_timm(name: str) -> str:
    """The lines by which timm makes a model from a folder or a repository: local-dir:FOLDER or hf-hub:OWNER/NAME."""
    return BY_NAME.format(name=json.dumps(name))


def has_timm(tuned: Classifier) -> bool:
    """Whether the backbone is an architecture that timm makes by its name."""
    return "architecture" in _known(tuned)


def python(tuned: Classifier, spec: Spec, file: str) -> str:
    """The lines that load the checkpoint ``file`` of a model whose method is merged, and that say what it takes."""
    name, size, classes = parse(spec.backbone.name).model, spec.backbone.image_size, spec.classes
    told: dict[str, Any] = {"classes": classes, "size": size, "file": json.dumps(file)}
    if spec.backbone.modality == "points":
        bias = any(tensor.endswith("attn.qkv.bias") for tensor in tuned.backbone.state_dict())
        return POINTS.format(name=json.dumps(name), bias=bias, **told)
    if not has_timm(tuned):
        return EMBEDDED.format(name=name, **told)
    arguments = model_arguments(*parse(spec.backbone.name)[:2])
    more = "".join(f", {argument}={value!r}" for argument, value in arguments.items())
    return TIMM.format(name=json.dumps(_known(tuned)["architecture"]), more=more, **told)


def _known(tuned: Classifier) -> dict[str, Any]:
    return getattr(tuned.backbone, "pretrained_cfg", {}) or {}
