"""A trained model as one graph without hooks, for ONNX or for torch.export.

The graph reads float images that are normalised already, or clouds of float points, and returns logits. The number of
samples and that of the points of a cloud may be any.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from benchmarks.files.writing import write_atomic
from benchmarks.records.spec import Spec
from benchmarks.training.export import card, samples
from benchmarks.training.model import Classifier
from methods.errors import UserError, check

SIZES = ((1, 2048), (7, 1000))  # numbers of samples and points for which a written graph is compared with the model
TOLERANCE = 1e-4  # of logits, as a share of the largest one where that is above 1
LARGEST = 2**31  # bytes of weights that one file of ONNX can hold
CARD = "card.json"  # of torch.export's file, beside the graph


def program(tuned: Classifier, spec: Spec) -> ExportedProgram:
    """The graph of the model, merged as far as its method can be.

    Raises:
        UserError: the method computes something that no graph of any number of samples can hold.
    """
    from torch._dynamo.exc import TorchDynamoException
    from torch.fx.experimental.symbolic_shapes import ConstraintViolationError, GuardOnDataDependentSymNode

    x = samples(tuned, spec)
    any_number = torch.export.Dim.DYNAMIC
    sizes = ({0: any_number} if spec.backbone.image_size else {0: any_number, 1: any_number},)  # samples, points
    try:
        with torch.no_grad():
            return torch.export.export(tuned.merged(x), (x,), dynamic_shapes=sizes)
    except (TorchDynamoException, ConstraintViolationError, GuardOnDataDependentSymNode) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{spec.method} cannot become a graph: torch.export says: {reason}") from error


def write_torch(graph: ExportedProgram, tuned: Classifier, spec: Spec, path: Path) -> None:
    """Write the graph to a file that ``torch.export.load`` reads, with the card as an extra file.

    Raises:
        UserError: the graph computes other logits than the model.
    """
    _compare(graph.module(), tuned, spec, "its graph")
    content = io.BytesIO()
    torch.export.save(graph, content, extra_files={CARD: json.dumps(card(tuned, spec))})
    write_atomic(path, content.getvalue())


def write_onnx(graph: ExportedProgram, tuned: Classifier, spec: Spec, path: Path) -> bool:
    """Write the graph as ONNX, with the card as its metadata. Returns whether onnxruntime was there to compare it.

    Raises:
        UserError: the extra "onnx" is not installed, the weights are too large for one file, or the graph computes
            other logits than the model.
    """
    missing = [package for package in ("onnx", "onnxscript") if find_spec(package) is None]
    check(not missing, f"--onnx needs {' and '.join(missing)}: pip install 'peft-vision-bench[onnx]'")
    size = sum(tensor.nbytes for tensor in graph.state_dict.values())
    check(size < LARGEST, f"{size:,} bytes of weights are too large for one file of ONNX; use --torch-export")
    content = _onnx(graph, tuned, spec)
    compared = find_spec("onnxruntime") is not None
    if compared:
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        _compare(lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]), tuned, spec, "onnxruntime")
    write_atomic(path, content)
    return compared


def _onnx(graph: ExportedProgram, tuned: Classifier, spec: Spec) -> bytes:
    name = "points" if spec.backbone.image_size is None else "images"
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it tells of every operation that it does not fold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own code
        try:
            made: Any = torch.onnx.export(
                graph,
                dynamo=True,
                verbose=False,
                input_names=[name],
                output_names=["logits"],
                custom_translation_table=_translations(),
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise UserError(f"{spec.method} cannot be written as ONNX; use --torch-export. {reason}") from error
    made.model.metadata_props.update(card(tuned, spec))
    content: bytes = made.model_proto.SerializeToString()
    return content


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """ONNX for operations of which torch has no translation."""
    from onnxscript import opset18

    op: Any = opset18  # its types do not take the constants that it makes

    def distances(a: Any, b: Any, p: float, mode: int | None) -> Any:
        """Distances (..., P, R) of points (..., P, D) and (..., R, D)."""
        assert p == 2, "no other distance is translated"
        apart = op.Sub(op.Unsqueeze(a, op.Constant(value_ints=[-2])), op.Unsqueeze(b, op.Constant(value_ints=[-3])))
        return op.ReduceL2(apart, op.Constant(value_ints=[-1]), keepdims=0)

    return {
        torch.ops.prims.view_of.default: lambda x: op.Identity(x),
        torch.ops.aten._cdist_forward.default: distances,
    }


@torch.inference_mode()
def _compare(written: Callable[[Tensor], Tensor], tuned: Classifier, spec: Spec, what: str) -> None:
    for count, points in SIZES:
        x = samples(tuned, spec, count, points)
        expected = tuned.eval()(x)
        change = float((written(x) - expected).abs().max())
        check(
            change <= TOLERANCE * max(1.0, float(expected.abs().max())),
            f"{spec.method} cannot be written as a graph: for {count} samples {what} differs by {change:.1e}",
        )
