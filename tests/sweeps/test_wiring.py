"""A method that cannot act on a backbone is refused before the first run, and left out of all methods."""

import pytest

from benchmarks.sweeps import sweep
from methods.errors import UserError

GATED = "aimv2_large_patch14_224"  # its FFN is a SwiGLU, and its width is no multiple of Adapter-X's heads
LACKS = (
    "unknown linear of the blocks of this backbone 'mlp.fc1'; did you mean 'mlp.fc1_x'? "
    "known: attn.proj, attn.qkv, mlp.fc1_g, mlp.fc1_x, mlp.fc2"
)


def plan(*methods, **options):
    asked = sweep.Sweep(methods=methods, tasks=("digits",), backbone=(GATED,), set=options)
    return {spec.method for spec in sweep.specs(asked, "float32", absent=True)}


def test_a_method_asked_for_by_name_is_refused():
    with pytest.raises(UserError) as error:
        plan("linear", "fact_tt")
    assert str(error.value) == f"backbone '{GATED}': fact: {LACKS}"


def test_a_target_that_the_blocks_lack_is_refused():
    assert plan("lora") == {"lora"}
    with pytest.raises(UserError) as error:
        plan("lora", lora={"targets": ["q", "fc1"]})
    assert str(error.value) == f"backbone '{GATED}': lora: target fc1: {LACKS}"


def test_all_methods_are_those_that_fit(capsys):
    fit, every = plan("all"), sweep.specs(sweep.Sweep(methods=("all",), tasks=("digits",)), "float32")
    out = {spec.method for spec in every} - fit
    assert out == {"adapterx", "fact_tk", "fact_tt", "repadapter"}
    lines = capsys.readouterr().err.splitlines()
    assert {line.partition("'")[2].partition("'")[0] for line in lines} == out
    assert all(line.startswith("warning: method '") and "is left out: backbone" in line for line in lines)
