"""A digest of a method's code, by which a record shows which version of the method made it.

It covers the module of the method's class, and the modules of the same package that this module imports, directly or
through others. It leaves out:

- comments, docstrings and layout, which change no number;
- the path of an import within the package, so a module may move;
- ``CONTRACT``, which every method imports. A change there that moves numbers is a new version of this benchmark.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Container, Iterator
from functools import cache
from importlib.util import find_spec, resolve_name

PARTS = ("backbone", "base", "calls", "errors", "hooks", "modality", "options", "papers", "protocols", "source")
CONTRACT = frozenset({"methods", *(f"methods.{part}" for part in PARTS)})


def digest(cls: type) -> str | None:
    """16 hexadecimal digits of the SHA-256 over the code of a class; None if its module has no source to read."""
    return _digest(cls.__module__)


@cache  # the code of a process does not change
def _digest(module: str) -> str | None:
    found = covered(module)
    texts = sorted(_code(name)[0] for name in found)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] if found else None


def covered(module: str) -> set[str]:
    """The names of the modules that the digest of a class in ``module`` covers."""
    found, left = set[str](), [module]
    while left:
        name = left.pop()
        if name not in found | CONTRACT:
            text, imported = _code(name)
            found |= {name} if text else set()
            left += imported
    return found


@cache
def _code(name: str) -> tuple[str, tuple[str, ...]]:
    """The code of a module as text, and what it imports of its own package; nothing where there is no such source."""
    try:
        source = find_spec(name).loader.get_source(name)  # type: ignore[union-attr]
    except (ImportError, AttributeError, ValueError):  # a class or a function, or a module of a notebook
        return "", ()
    tree = ast.parse(source or "")
    package = name if _is_package(name) else name.rpartition(".")[0] or name
    own = {node: names for node in ast.walk(tree) if (names := tuple(_of_package(node, package)))}
    aliases = sorted(_shape(alias) for node in own for alias in node.names)  # type: ignore[attr-defined]
    return _shape(tree, own.keys()) + "".join(aliases), tuple(name for names in own.values() for name in names)


def _of_package(node: ast.AST, package: str) -> Iterator[str]:
    """The modules of the package that a statement imports."""
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [resolve_name("." * node.level + (node.module or ""), package)]
    for name in names:
        if name.partition(".")[0] == package.partition(".")[0]:
            yield name
            if isinstance(node, ast.ImportFrom) and _is_package(name):
                yield from (f"{name}.{alias.name}" for alias in node.names)


def _is_package(name: str) -> bool:
    try:
        found = find_spec(name)
    except (ImportError, ValueError):
        return False
    return bool(found and found.submodule_search_locations)


def _shape(node: object, left_out: Container[ast.AST] = ()) -> str:
    """A part of a syntax tree as text, without texts that stand alone: docstrings. All versions of Python agree."""
    if isinstance(node, list):
        return f"[{', '.join(_shape(one, left_out) for one in node if one not in left_out and not _is_text(one))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (f"{name}={_shape(value, left_out)}" for name, value in ast.iter_fields(node) if value not in (None, []))
    return f"{type(node).__name__}({', '.join(fields)})"


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
