"""The house's import table: data flows down the page, imports point down too. Read from the source itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lightning_tune"

# What each folder (or top-level module) may import of lightning_tune, beside itself, `errors` and `_imports`.
# A name with a dot allows that module alone; "*" is everything but the root and `testing`.
TABLE: dict[str, set[str]] = {
    "errors": set(),
    "_imports": set(),
    "core": set(),
    "norm": set(),
    "curves": {"core"},
    "search": {"core"},
    "schedule": {"core", "curves"},
    "store": {"core"},
    "track": {"core"},
    "execute": {"core"},
    "callbacks": {"core", "store", "schedule", "curves", "norm", "execute.base"},
    "inspect": {"core", "store"},
    "loop": {
        "core",
        "search",
        "schedule",
        "curves",
        "store",
        "track",
        "execute",
        "callbacks",
        "norm",
        "inspect",
    },
    "nas": {"core", "loop", "norm", "search", "schedule"},
    "cli": {"*", "__root__"},
    "demo": {"__root__"},
    "__main__": {"cli"},
    "__init__": {"*"},
    "testing": {"*", "__root__"},
}
ALWAYS = {"errors", "_imports"}
ONLY_IN = {"triton": "norm/kernels/"}
HEAVY = {"torch", "lightning", "pytorch_lightning", "torchmetrics", "sqlalchemy", "wandb", "rich", "pandas"}
CORE_MAY_IMPORT = {"numpy", "scipy", "yaml"}
LIGHTNING_CALLBACKS = {"Callback", "Checkpoint", "ModelCheckpoint", "EarlyStopping", "Timer"}


def imports(tree: ast.Module, module: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute name) of every import, wherever it stands; `from a import b` gives `a.b`."""
    package = module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def allowed(own: str, wanted: str) -> bool:
    """Return whether `own` may import `wanted`, a dotted name below lightning_tune ("" is the root)."""
    top = wanted.partition(".")[0]
    is_unit = top in TABLE
    unit = top if is_unit else "__root__"
    if unit == own or unit in ALWAYS:
        return True
    may = TABLE[own]
    if unit in may or ("*" in may and unit not in {"testing", "__root__"}):
        return True
    return any(wanted == name or wanted.startswith(name + ".") for name in may if "." in name)


def violations(root: Path) -> list[str]:
    """Return a sentence for each import and class below `root` that the table does not allow."""
    found: list[str] = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = relative.parts[0].removesuffix(".py")
        where = relative.as_posix()
        if own not in TABLE:
            found.append(f"{where}: {own} is not in the table")
            continue
        module = ".".join(["lightning_tune", *relative.with_suffix("").parts])
        for line, name in imports(tree, module):
            top, _, rest = name.partition(".")
            if top == "lightning_tune" and not allowed(own, rest):
                found.append(f"{where}:{line}: {own} may not import {name}")
            if top in ONLY_IN and not where.startswith(ONLY_IN[top]):
                found.append(f"{where}:{line}: only {ONLY_IN[top]} may import {top}")
            if own == "core" and top in HEAVY:
                found.append(f"{where}:{line}: core may not import {top}")
        if own != "callbacks":
            found += [
                f"{where}:{line}: only callbacks/ may subclass {name}"
                for line, name in callback_classes(tree)
            ]
    return found


def callback_classes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, base) of every class that derives from one of Lightning's callbacks."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                name = ast.unparse(base).rpartition(".")[2]
                if name in LIGHTNING_CALLBACKS:
                    yield node.lineno, name


def test_imports_point_down() -> None:
    assert violations(PACKAGE) == []


def test_every_folder_of_the_package_is_in_the_table() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= set(TABLE), folders - set(TABLE)


def test_core_imports_nothing_but_python_and_arrays() -> None:
    """A stronger promise than the table's: plain values need nothing that takes long to import."""
    for path in (PACKAGE / "core").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        outside = {name.partition(".")[0] for _, name in imports(tree, f"lightning_tune.core.{path.stem}")}
        assert outside <= CORE_MAY_IMPORT | {"lightning_tune"} | sys.stdlib_module_names, (path.name, outside)


@pytest.mark.parametrize(
    ("where", "source", "sentence"),
    [
        ("core/bad.py", "import torch", "core may not import torch"),
        ("core/bad.py", "def f():\n    from sqlalchemy import text", "core may not import sqlalchemy"),
        (
            "core/bad.py",
            "from lightning_tune.store import base",
            "core may not import lightning_tune.store.base",
        ),
        ("core/bad.py", "from ..store import base", "core may not import lightning_tune.store.base"),
        ("core/bad.py", "from .. import store", "core may not import lightning_tune.store"),
        (
            "search/bad.py",
            "from lightning_tune import TuneLoop",
            "search may not import lightning_tune.TuneLoop",
        ),
        ("search/bad.py", "import lightning_tune", "search may not import lightning_tune"),
        (
            "store/bad.py",
            "import lightning_tune.track.screen",
            "store may not import lightning_tune.track.screen",
        ),
        (
            "track/bad.py",
            "from lightning_tune.execute import base",
            "track may not import lightning_tune.execute.base",
        ),
        ("loop/bad.py", "import lightning_tune.testing.x", "loop may not import lightning_tune.testing.x"),
        ("loop/bad.py", "from lightning_tune import cli", "loop may not import lightning_tune.cli"),
        ("callbacks/bad.py", "import lightning_tune.execute.inline", "callbacks may not import"),
        ("norm/layers.py", "import triton.language as tl", "only norm/kernels/ may import triton"),
        ("loop/bad.py", "class C(L.Callback): pass", "only callbacks/ may subclass Callback"),
        ("extra/new.py", "", "extra is not in the table"),
        (
            "search/bad.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lightning_tune.loop.result",
            "search may not import lightning_tune.loop.result",
        ),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, where: str, source: str, sentence: str) -> None:
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    found = violations(tmp_path)
    assert len(found) == 1
    assert sentence in found[0]


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("core/good.py", "import numpy as np\nfrom lightning_tune.errors import TuneError"),
        ("schedule/good.py", "from lightning_tune.curves.posterior import Posterior"),
        ("callbacks/good.py", "from lightning_tune.execute.base import Channel\nclass C(Callback): pass"),
        ("norm/kernels/good.py", "import triton"),
        ("cli.py", "from lightning_tune import TuneLoop\nfrom lightning_tune.store import open_store"),
        ("testing/good.py", "from lightning_tune.loop.tune_loop import TuneLoop"),
    ],
)
def test_what_the_table_allows_is_allowed(tmp_path: Path, where: str, source: str) -> None:
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    assert violations(tmp_path) == []
