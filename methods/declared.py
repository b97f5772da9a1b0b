"""The defaults of a method's options, read in its source: a table needs no more, and an import takes torch along."""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def defaults(path: str) -> dict[str, Any]:
    """The options of the method at ``module:Class`` with their defaults, in the order of its ``Config``.

    Raises:
        LookupError: they are not declared plainly, as fields with literal values; only an import can tell them.
    """
    module, _, name = path.partition(":")
    try:
        return _fields(*_config(*_class(module, ast.Name(name))))
    except (ValueError, TypeError, SyntaxError, OSError, ImportError) as error:
        raise LookupError(f"{path}: {error}") from None


def _config(module: str, node: ast.ClassDef) -> tuple[str, ast.ClassDef]:
    """What ``Config`` is in a class: its own, or else its base's."""
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="Config")], value=value):
                return _class(module, value)
    (base,) = node.bases
    return _config(*_class(module, base))


def _fields(module: str, node: ast.ClassDef) -> dict[str, Any]:
    """The fields of a dataclass with their defaults, those of its bases first."""
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        raise ValueError(f"{node.name} is no dataclass")
    if "__setattr__" in ast.unparse(node):
        raise ValueError(f"{node.name} sets its fields itself")
    found: dict[str, Any] = {}
    for base in node.bases:
        found |= _fields(*_class(module, base))
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=ast.expr() as value) if (
                "ClassVar" not in ast.unparse(kind)
            ):
                found[name] = ast.literal_eval(value)
            case ast.AnnAssign():
                raise ValueError(f"'{ast.unparse(statement)}' is no field with a default")
    return found


def _class(module: str, name: ast.expr) -> tuple[str, ast.ClassDef]:
    """The class of this name, followed to the module that defines it."""
    match name:
        case ast.Attribute(value=ast.Name(id=alias), attr=own):
            parent, imported = _imported(module)[alias]
            return _class(f"{parent}.{imported}", ast.Name(own))
        case ast.Name(id=own):
            for statement in _source(module).body:
                if isinstance(statement, ast.ClassDef) and statement.name == own:
                    return module, statement
            parent, imported = _imported(module)[own]
            return _class(parent, ast.Name(imported))
    raise ValueError(f"{ast.unparse(name)} is no name of a class")


def _imported(module: str) -> dict[str, tuple[str, str]]:
    """What the source of a module takes from others, by the name it has here: module and name."""
    return {
        alias.asname or alias.name: (statement.module, alias.name)
        for statement in _source(module).body
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level
        for alias in statement.names
    }


@cache
def _source(module: str) -> ast.Module:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"no source of {module}")
    return ast.parse(Path(spec.origin).read_bytes())
