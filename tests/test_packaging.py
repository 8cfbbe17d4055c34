"""What the project file, the constraints and the pages promise, held against one another."""

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import lightning_tune

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
FOREIGN = re.compile(
    r"\b(?:pip|uv|conda|poetry|pipx)\b[^\n`]{0,60}?\b(?:install|add)\b[^\n`]*?\blightning[-_]tune(?![\w-])"
)
OWN = re.compile(r"lightning-tuneloop\[([a-z, ]+)\]")


def name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return match[0].lower()


def requirements() -> list[str]:
    """Return every requirement of the project and its extras that is not the project itself."""
    lists = [PROJECT["dependencies"], *EXTRAS.values()]
    return [line for lines in lists for line in lines if not line.startswith(PROJECT["name"])]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower(): version for name, version in pairs}


def pages() -> list[Path]:
    """Return the text files of the project: those that git tracks, or all of them in an unpacked archive."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        files = [
            path for folder in ("lightning_tune", "docs", "examples") for path in (ROOT / folder).rglob("*")
        ]
    kinds = {".py", ".md", ".toml", ".txt", ".sh", ".yaml", ""}
    return [path for path in files if path.is_file() and path.suffix in kinds]


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def test_the_distribution_has_our_name_and_version() -> None:
    assert PROJECT["name"] == "lightning-tuneloop"
    assert PROJECT["version"] == lightning_tune.__version__
    assert PROJECT["scripts"] == {"lightning-tune": "lightning_tune.cli:main"}


def test_the_console_script_is_there() -> None:
    module, _, function = PROJECT["scripts"]["lightning-tune"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))


def test_every_direct_dependency_has_a_pin() -> None:
    missing = {name_of(line) for line in requirements()} - set(pins())
    assert missing == set()


def test_every_pin_is_at_least_the_floor() -> None:
    for line in requirements():
        floor = re.search(r">=([\d.]+)", line)
        assert floor is not None, f"{line}: no floor"
        assert version(pins()[name_of(line)]) >= version(floor[1]), line


def test_the_floors_that_security_sets() -> None:
    floors = {name_of(line): line for line in requirements()}
    assert floors["lightning"] == "lightning>=2.6.6"  # 2.6.1 to 2.6.5 run code from a checkpoint
    assert floors["torch"] == "torch>=2.10"
    assert floors["ray"] == "ray>=2.54"


def test_the_extras_are_those_of_the_design() -> None:
    assert set(EXTRAS) == {
        "rich", "postgres", "pandas", "plot", "ray", "tensorboard", "dashboard", "excel", "optuna", "triton",
        "examples", "test", "dev",
    }  # fmt: skip


def test_every_extra_that_is_named_exists() -> None:
    for path in pages():
        for group in OWN.findall(path.read_text(encoding="utf-8")):
            names = {name.strip() for name in group.split(",")}
            if names != {"extra"}:
                assert names <= set(EXTRAS), path


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nobody_is_told_to_install_somebody_elses_package(path: Path) -> None:
    """On the package index `lightning-tune` is not ours; our distribution is `lightning-tuneloop`."""
    if path == Path(__file__):
        return
    assert FOREIGN.findall(path.read_text(encoding="utf-8")) == []


def test_the_check_for_that_finds_it() -> None:
    for wrong in (
        "pip install lightning-tune",
        "pip install -U 'lightning-tune[rich]'",
        "uv add lightning_tune",
    ):
        assert FOREIGN.search(wrong), wrong
    for right in (
        "pip install lightning-tuneloop",
        "pip install 'lightning-tuneloop[rich]'",
        "pip install -e .",
    ):
        assert not FOREIGN.search(right), right


def test_the_lowest_versions_are_pinned_from_the_floors() -> None:
    path = ROOT / "scripts" / "lowest.py"
    spec = importlib.util.spec_from_file_location("lowest", path)
    assert spec is not None
    assert spec.loader is not None
    lowest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lowest)
    floors = lowest.floors(PROJECT)
    assert floors["lightning"] == "2.6.6"
    assert {name.lower() for name in floors} == {name_of(line) for line in requirements()}
    with pytest.raises(ValueError, match="promises no lowest version"):
        lowest.floors({"name": "x", "dependencies": ["numpy"], "optional-dependencies": {}})


def test_the_package_is_typed_and_licensed() -> None:
    assert (ROOT / "lightning_tune" / "py.typed").exists()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_project_registers_no_lightning_plugin() -> None:
    """An entry point of `callbacks_factory` would add our callback to every Trainer on the machine."""
    assert "entry-points" not in PROJECT
