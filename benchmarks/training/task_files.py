"""Task files: a trained model as the few tensors that were trained, and the spec that rebuilds the rest."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from benchmarks import backbones
from benchmarks.backbones.names import parse
from benchmarks.files.places import check_plain
from benchmarks.files.writing import write_atomic
from benchmarks.records.evidence import check_labels
from benchmarks.records.spec import Spec
from benchmarks.training.model import Classifier, build
from methods.errors import UserError, check

OF_RUN = re.compile(r"-s[0-9]+-([0-9a-f]{16})\.safetensors$")  # the name that a run gives to its task file


def save(model: Classifier, spec: Spec, path: Path) -> int:
    """Write the trained tensors, the spec that rebuilds the rest, and the names of the classes to a task file.

    Returns the file's bytes.
    """
    content = packed(spec, _change_own(model.trained_state(), model.method.pack))
    write_atomic(path, content)
    return len(content)


def packed(spec: Spec, state: dict[str, Tensor]) -> bytes:
    """The bytes of a task file of these tensors, which ``unpacked`` reads."""
    # one entry, because safetensors writes several in a random order, and equal runs must give equal bytes
    metadata = {"spec": json.dumps(spec.to_json() | {"labels": spec.labels}, sort_keys=True)}
    return to_bytes(state, metadata=metadata)


def read(path: str | Path) -> tuple[Spec, dict[str, Tensor]]:
    """The contents of a task file: the spec of its run, and the trained tensors.

    Raises:
        UserError: as in ``unpacked``, or the backbone has other weights on this machine.
    """
    spec, state = unpacked(path)
    file = parse(spec.backbone.name).file
    check(
        not file or Path(file).is_file(),
        f"{path} was trained on the weights in {file}, which is no file; start in the folder where that path leads "
        f"to them, or put them there: their SHA-256 starts with {spec.backbone.sha256[:12]}",
    )
    now = backbones.source(spec.backbone.name).sha256
    if now != spec.backbone.sha256:
        raise UserError(
            f"{path} was trained on other weights of {spec.backbone.name}: their SHA-256 starts with "
            f"{spec.backbone.sha256[:12]}, that of the weights here with {now[:12]}; use the original weights"
        )
    return spec, state


def unpacked(path: str | Path) -> tuple[Spec, dict[str, Tensor]]:
    """The contents of a task file, whose backbone need not be on this machine.

    Raises:
        UserError: the file is missing, is no task file or that of another run than its name says.
    """
    check_plain(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read task file {path}: {error}") from None
    if "spec" not in metadata:
        raise UserError(f"{path} is not a task file of this benchmark: its metadata has no 'spec'")
    try:
        values = json.loads(metadata["spec"])
        labels = values.pop("labels", None) if isinstance(values, dict) else None
        spec = Spec.from_json(values)
        check_labels(labels, spec.classes)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"cannot read the spec in task file {path}: {error or type(error).__name__}") from None
    named = OF_RUN.search(Path(path).name)
    check(
        named is None or named[1] == spec.key,
        f"{path} holds another run than its name says: {spec}, key {spec.key}; put back the right file, or rename it",
    )
    return replace(spec, labels=labels and tuple(labels)), state


def load(path: str | Path) -> Classifier:
    """A trained model from its task file, in eval mode.

    Raises:
        UserError: the file is missing, is no task file, or does not fit the backbone and the method that it names.
    """
    spec, state = read(path)
    model = build(spec)
    expected = _change_own(model.trained_state(), model.method.pack)
    if set(state) != set(expected):
        differing = ", ".join(sorted(set(state) ^ set(expected)))
        raise UserError(f"{path} does not hold what {spec.method} trains: missing or left over: {differing}")
    try:
        model.load_state_dict(_change_own(state, model.method.unpack), strict=False)
    except RuntimeError as error:  # torch says in several lines which tensors have another shape
        reason = " ".join(str(error).split()).partition(": ")[2]
        raise UserError(f"{path} does not hold what {spec.method} trains: {reason}") from None
    return model.eval()


def _change_own(
    state: dict[str, Tensor], change: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Apply the method's ``pack`` or ``unpack`` to its own tensors, under the names that the method uses."""
    own = {name.removeprefix("method."): tensor for name, tensor in state.items() if name.startswith("method.")}
    others = {name: tensor for name, tensor in state.items() if not name.startswith("method.")}
    return others | {f"method.{name}": tensor for name, tensor in change(own).items()}
