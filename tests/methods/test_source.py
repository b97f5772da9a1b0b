"""The digest of a method's code changes with the code that is the method's own, and with nothing else."""

import re

import methods
from methods import source
from tests.support.packages import installed

METHOD = '''"""A method."""

from typing import Any

from methods.base import Method
from made.helper import scale


class Made(Method):
    """Scales."""

    factor = scale(2)
'''
HELPER = "def scale(x):\n    return 3 * x\n"


def digest(place, method=METHOD, helper=HELPER, at="helper"):
    """The digest of the class Made, whose package has a module with the class and another one with a function."""
    files = {"made/__init__.py": "", "made/parts/__init__.py": "", "made/unused.py": "A = 1", "made/method.py": method}
    files[f"made/{at}.py"] = helper
    with installed(methods, place, {"made": "made.method:Made"}, files):
        return source.digest(methods.get("made"))


def test_comments_docstrings_and_layout_do_not_count(tmp_path):
    first = digest(tmp_path)
    assert re.fullmatch("[0-9a-f]{16}", first)
    other = METHOD.replace('"""Scales."""', '"""Multiplies."""').replace("scale(2)", "scale(\n        2,\n    )  # two")
    assert digest(tmp_path, other) == first
    assert digest(tmp_path, METHOD + '    """How much."""\n') == first


def test_code_of_the_module_and_of_what_it_imports_counts(tmp_path):
    others = [
        digest(tmp_path, METHOD.replace("scale(2)", "scale(4)")),
        digest(tmp_path, METHOD.replace("import Any", "import Annotated as Any")),
        digest(tmp_path, METHOD.replace("import scale", "import shrink as scale"), HELPER + "shrink = scale\n"),
        digest(tmp_path, helper=HELPER.replace("3", "5")),
    ]
    assert len({digest(tmp_path), *others}) == 5


def test_a_moved_helper_does_not_count(tmp_path):
    for statement in ("from made.parts.helper import scale", "from .parts.helper import scale"):
        moved = METHOD.replace("from made.helper import scale", statement)
        assert digest(tmp_path, moved, at="parts/helper") == digest(tmp_path)
    package = METHOD.replace("made.helper import scale", "made import helper").replace("scale(", "helper.scale(")
    assert digest(tmp_path, package) != digest(tmp_path, package, HELPER.replace("3", "5"))


def test_methods_here_have_the_code_of_their_parts_but_not_of_what_all_share():
    assert source.covered("methods.binary") == {
        *(f"methods.{name}" for name in ("binary", "adaptformer", "lora", "parts.layers", "parts.updates"))
    }


def test_a_class_without_a_file_has_no_digest():
    made = type("Made", (), {"__module__": "nowhere"})
    assert source.digest(made) is None
