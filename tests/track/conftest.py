"""Gives the helpers of this folder to its tests (pytest's `importlib` mode has no packages)."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"track_helpers_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """Give `tiny.py`: `info`, `done` and `fit`."""
    return _load("tiny")


@pytest.fixture(scope="session")
def wandb_files() -> ModuleType:
    """Give `wandb_files.py`: `read_runs`."""
    return _load("wandb_files")


@pytest.fixture
def story() -> ModuleType:
    """Give `story.py`: a sweep to tell to a screen, event by event."""
    return _load("story")
