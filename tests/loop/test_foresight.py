import math

import numpy as np
import pytest

from lightning_tune import Float
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.trial import Trial
from lightning_tune.curves import extrapolate
from lightning_tune.loop.foresight import Foresight
from lightning_tune.search import RandomSearch
from lightning_tune.testing.functions import run_function

VALUES = [0.3, 0.45, 0.52, 0.57, 0.6, 0.62]
FULL = 20.0


def cut_off(values, mode="max", full=FULL) -> tuple[Foresight, Trial]:
    """The sweep died after so many reports of its one trial."""
    history = run_function(
        {"x": Float(0, 1)},
        RandomSearch(),
        lambda config, step: values[int(step) - 1],
        max_trials=1,
        max_budget=FULL,
        mode=mode,
        kill_after=len(values),
    )
    (trial,) = history
    assert trial.state == "running"
    return Foresight(history.objective, EPOCHS, full), trial


@pytest.mark.parametrize("mode", ["max", "min"])
def test_it_is_what_extrapolate_says(mode):
    foresight, trial = cut_off(VALUES, mode)
    found = foresight(trial)
    expected = extrapolate(np.array([VALUES]), at=FULL, mode=mode).quantile([0.05, 0.5, 0.95])[0]
    assert (found.low, found.middle, found.high) == pytest.approx(tuple(expected), rel=1e-6)


def test_nothing_is_said_of_what_has_hardly_begun():
    foresight, trial = cut_off(VALUES[:3])
    assert foresight(trial) is None


@pytest.mark.parametrize("full", [len(VALUES), math.inf])
def test_nothing_is_said_without_an_end_ahead(full: float):
    foresight, trial = cut_off(VALUES, full=full)
    assert foresight(trial) is None


def test_nothing_is_said_where_each_leg_trains_anew():
    _, trial = cut_off(VALUES)
    history = run_function({"x": Float(0, 1)}, RandomSearch(), lambda config, step: 0.0, max_trials=1)
    assert Foresight(history.objective, Budget(grows="data", full=FULL), FULL)(trial) is None


def test_nothing_is_said_of_what_does_not_run():
    history = run_function(
        {"x": Float(0, 1)}, RandomSearch(), lambda config, step: 1 / step, max_trials=1, max_budget=6
    )
    assert Foresight(history.objective, EPOCHS, FULL)(history.trials[0]) is None


def test_a_curve_is_looked_at_once_a_report(monkeypatch):
    foresight, trial = cut_off(VALUES)
    looks = []
    monkeypatch.setattr(foresight, "_look", lambda trial: looks.append(len(trial.rows)))
    foresight(trial)
    foresight(trial)
    assert looks == [len(VALUES)]
