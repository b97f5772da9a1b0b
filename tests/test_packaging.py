"""An installed package has every file that the code reads, not only the modules."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path


def test_every_file_beside_the_modules_is_package_data(root: Path) -> None:
    given = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    left = []
    for path in (one for top in ("benchmarks", "methods") for one in (root / top).rglob("*") if one.is_file()):
        packages = [folder for folder in path.parents if (folder / "__init__.py").exists()]
        data = [(path.relative_to(folder), ".".join(folder.relative_to(root).parts)) for folder in packages]
        found = any(fnmatch(str(name), one) for name, of in data for one in [*given["*"], *given.get(of, [])])
        if path.suffix not in (".py", ".pyc") and not found:
            left.append(str(path.relative_to(root)))
    assert left == []
