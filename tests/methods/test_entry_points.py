"""Methods of installed packages: a bad entry point is one line, and a bug in a package's module is raised."""

import pytest

import methods
from benchmarks import run
from methods.errors import UserError
from tests.support.packages import installed

MADE = "from methods.base import Method\nclass Made(Method): ...\nclass Other: ...\n"


@pytest.mark.parametrize(
    ("place", "module", "fault"),
    [
        ("nowhere:Made", MADE, "No module named 'nowhere'"),
        ("made:Made", "import nowhere", "No module named 'nowhere'"),
        ("made:Made", "from methods.base import Metod", "cannot import name 'Metod' from 'methods.base'"),
        ("made:Maid", MADE, "made has no Maid"),
        ("made", MADE, "made has no name after a colon"),
        ("made:Other", MADE, "Other is <class 'made.Other'> and no subclass of methods.base.Method"),
        ("made:methods", "methods = 3", "methods is 3 and no subclass of methods.base.Method"),
    ],
)
def test_a_bad_entry_point_is_one_line(place, module, fault, tmp_path, complaint):
    with installed(methods, tmp_path, {"made": place}, {"made.py": module}):
        line = complaint(run.main, "--methods", "made", "--tasks", "digits", "--results", str(tmp_path / "results"))
    assert line.startswith(f"method 'made' of an installed package cannot be loaded from {place}: {fault}")
    assert "correct its entry point in the group peft_bench.methods" in line


@pytest.mark.parametrize("bug", ["nothing + 1", "import torch\ntorch.nothing", "raise ValueError('shapes')"])
def test_a_bug_in_the_module_of_a_package_is_raised(bug, tmp_path):
    with (
        installed(methods, tmp_path, {"made": "made:Made"}, {"made.py": bug}),
        pytest.raises((NameError, AttributeError, ValueError)) as raised,
    ):
        methods.get("made")
    assert not isinstance(raised.value, UserError)


def test_a_method_that_trains_nothing_is_one_line(tmp_path, complaint):
    with installed(methods, tmp_path, {"made": "made:Made"}, {"made.py": MADE}):
        line = complaint(run.main, "--methods", "made", "--tasks", "digits", "--results", str(tmp_path / "results"))
    assert "method 'made' finds nothing to train in this VisionTransformer, so it would be 'linear'" in line
