"""Graphs of trained models compute the same logits without this benchmark, for any number of samples."""

import io
import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import methods
from benchmarks import export
from benchmarks.training import graph
from methods.errors import UserError
from methods.lora import LoRA
from tests.support import tiny
from tests.training.test_export import saved

NEEDS_ONNX = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="ONNX is not installed: pip install 'peft-vision-bench[onnx]'",
)
EVERY = [(name, "image") for name in sorted(methods.METHODS) if "image" in methods.get(name).modalities]


@pytest.fixture
def wired(specs):
    """A small trained model of a method, and a spec for images of its size, or for clouds."""

    def made(method, family="image"):
        (spec,) = specs("linear", tasks=("solids" if family == "points" else "digits",))
        return tiny.trained(method, family, layers=2), replace(spec, method=method, config=methods.config(method, {}))

    return made


def batch(count):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(9))


@torch.inference_mode()
def assert_equal(session, tuned):
    """onnxruntime computes what torch does, for batches of several sizes."""
    for count in (1, 7):
        x = batch(count)
        found = session.run(None, {"images": x.numpy()})[0]
        np.testing.assert_allclose(found, tuned(x).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["adapterx", "lora", "vpt_deep", "noah"])
def test_torch_loads_a_graph_that_takes_any_number_of_images(method, wired, tmp_path):
    tuned, spec = wired(method)
    graph.write_torch(graph.program(tuned, spec), tuned, spec, tmp_path / "m.pt2")
    card = {graph.CARD: ""}
    module = torch.export.load(io.BytesIO((tmp_path / "m.pt2").read_bytes()), extra_files=card).module()
    for count in (1, 3):
        tiny.close(module(batch(count)), tuned(batch(count)))
    assert json.loads(json.loads(card[graph.CARD])["label_names"]) == list("0123456789")


@pytest.mark.parametrize("method", ["adapterx", "idpt"])
def test_a_graph_of_points_takes_clouds_of_any_number_and_size(method, wired):
    tuned, spec = wired(method, "points")
    module = graph.program(tuned, spec).module()
    for count, points in ((1, 256), (3, 2048)):
        x = torch.randn(count, points, 3, generator=torch.Generator().manual_seed(9))
        with torch.no_grad():
            tiny.close(module(x), tuned(x))


@NEEDS_ONNX
def test_onnxruntime_computes_what_an_unmerged_adapterx_does(wired, tmp_path):
    import onnxruntime

    tuned, spec = wired("adapterx")
    assert graph.write_onnx(graph.program(tuned, spec), tuned, spec, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert (about["method"], json.loads(about["label_names"])) == ("adapterx", list("0123456789"))
    assert [output.name for output in session.get_outputs()] == ["logits"]
    assert_equal(session, tuned)


@NEEDS_ONNX
@pytest.mark.slow
@pytest.mark.parametrize(("method", "family"), [*EVERY, *tiny.FITTING])
def test_every_method_becomes_onnx(method, family, wired, tmp_path, monkeypatch):
    import onnxruntime

    tuned, spec = wired(method, family)
    monkeypatch.setattr(type(tuned), "merged", lambda model, x: model)  # all hooks stay
    graph.write_onnx(graph.program(tuned, spec), tuned, spec, tmp_path / "m.onnx")
    assert_equal(onnxruntime.InferenceSession(tmp_path / "m.onnx"), tuned)


@NEEDS_ONNX
@pytest.mark.slow
@pytest.mark.parametrize("task", ["digits", "solids"])
def test_a_run_becomes_both_graphs_by_one_command(task, tmp_path):
    path, _, _ = saved(tmp_path, "adapterx", task)
    files = (tmp_path / "m.onnx", tmp_path / "m.pt2")
    assert export.main([str(path), "--onnx", str(files[0]), "--torch-export", str(files[1])]) == 0
    assert all(file.is_file() for file in files)


def test_a_graph_that_computes_something_else_is_refused(wired, tmp_path):
    tuned, spec = wired("linear")
    program = graph.program(tuned, spec)
    with torch.no_grad():
        tuned.head.bias += 1
    with pytest.raises(UserError, match=r"^linear cannot be written as a graph: for 1 samples its graph differs by 1"):
        graph.write_torch(program, tuned, spec, tmp_path / "m.pt2")
    assert not (tmp_path / "m.pt2").exists()


def test_what_torch_cannot_trace_is_one_line(wired, monkeypatch):
    tuned, spec = wired("lora")
    monkeypatch.setattr(LoRA, "features", lambda method, pooled: pooled[: int(pooled.sum().item() > 0)])
    with pytest.raises(UserError, match=r"^lora cannot become a graph: torch\.export says: "):
        graph.program(tuned, spec)


@NEEDS_ONNX
def test_what_onnx_cannot_hold_is_one_line(wired, monkeypatch, tmp_path):
    tuned, spec = wired("linear")
    monkeypatch.setattr(type(tuned.method), "features", lambda method, x: x * torch.special.i1e(x))
    program = graph.program(tuned, spec)
    with pytest.raises(UserError, match=r"^linear cannot be written as ONNX; use --torch-export\. .*bessel_i1e"):
        graph.write_onnx(program, tuned, spec, tmp_path / "m.onnx")


def test_onnx_without_its_packages_names_the_extra(wired, monkeypatch, tmp_path):
    tuned, spec = wired("linear")
    monkeypatch.setattr(graph, "find_spec", lambda name: None)
    line = r"^--onnx needs onnx and onnxscript: pip install 'peft-vision-bench\[onnx\]'$"
    with pytest.raises(UserError, match=line):
        graph.write_onnx(graph.program(tuned, spec), tuned, spec, tmp_path / "m.onnx")
