"""The names a user types, and what importing them costs."""

import json
import os
import statistics
import subprocess
import sys
import types

import pytest

import lightning_tune

HEAVY = [
    "lightning",
    "pytorch_lightning",
    "torch",
    "torchmetrics",
    "sqlalchemy",
    "wandb",
    "rich",
    "pandas",
    "scipy",
    "triton",
    "ray",
]


def python(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_is_sorted_and_without_repetition() -> None:
    names = lightning_tune.__all__
    assert names == sorted(set(names))


def test_all_is_small_and_public() -> None:
    assert 20 <= len(lightning_tune.__all__) <= 50
    assert not [name for name in lightning_tune.__all__ if name.startswith("_")]


@pytest.mark.parametrize("name", lightning_tune.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    thing = getattr(lightning_tune, name)
    assert isinstance(thing, type | types.FunctionType)
    assert thing.__name__ == name
    assert thing.__module__.startswith("lightning_tune.")
    assert thing.__doc__ is not None
    assert thing.__doc__.strip()
    assert name in dir(lightning_tune)


def test_what_the_design_promises_is_among_them() -> None:
    promised = {
        "TuneLoop",
        "Float",
        "Int",
        "Choice",
        "GridSearch",
        "RandomSearch",
        "OneAtATimeSearch",
        "TuneError",
    }
    assert promised <= set(lightning_tune.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="lightning_tune.*'TuneLop'"):
        lightning_tune.TuneLop  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = json.loads(
        python(
            "import sys, json, lightning_tune; print(json.dumps([m for m in sys.modules if '.' not in m]))"
        )
    )
    assert set(loaded).isdisjoint(HEAVY)


def test_the_space_needs_neither_torch_nor_lightning() -> None:
    loaded = python("import sys; from lightning_tune import Choice, Float, Int; print(*sys.modules)").split()
    assert set(loaded).isdisjoint({"torch", "lightning", "sqlalchemy", "wandb"})


def test_tune_loop_imports_neither_loggers_nor_screens_nor_the_other_package() -> None:
    code = "import sys, lightning; from lightning_tune import TuneLoop; print(*sys.modules)"
    new = set(python(code).split()) - set(python("import sys, lightning; print(*sys.modules)").split())
    assert new.isdisjoint(
        {"wandb", "rich.live", "pandas", "tensorboard", "pytorch_lightning", "ray", "triton"}
    )


@pytest.mark.slow
def test_the_package_with_its_loop_adds_at_most_a_third_of_a_second_to_lightning() -> None:
    """Medians of five fresh interpreters each, alternating, so that a busy machine slows both."""
    code = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
    bare, ours = [], []
    for _ in range(5):
        bare.append(float(python(code.format("import lightning"))))
        ours.append(float(python(code.format("import lightning; from lightning_tune import TuneLoop"))))
    added = statistics.median(ours) - statistics.median(bare)
    assert added < 0.3, (bare, ours)
