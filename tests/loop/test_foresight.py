import math

import numpy as np
import pytest

from lightning_tune import Float
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.objective import Objective
from lightning_tune.core.trial import Trial
from lightning_tune.curves import extrapolate
from lightning_tune.loop.foresight import Foresight, bounds_of
from lightning_tune.loop.freeze_thaw import FreezeThaw
from lightning_tune.schedule import ASHA, ByPredictedEnd, CurveStopping, FullBudget, Hyperband
from lightning_tune.search import RandomSearch
from lightning_tune.testing.functions import run_function

VALUES = [0.3, 0.45, 0.52, 0.57, 0.6, 0.62]
FULL = 20.0


def cut_off(values, mode="max", full=FULL, bounds=None) -> tuple[Foresight, Trial]:
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
    return Foresight(history.objective, EPOCHS, full, bounds), trial


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


@pytest.mark.parametrize(("mode", "bounds"), [("max", (0, 0.7)), ("min", (0.35, None))])
def test_nothing_is_foreseen_out_of_bounds(mode, bounds):
    values = VALUES if mode == "max" else [1.0 - value for value in VALUES]
    free, trial = cut_off(values, mode)
    within, _ = cut_off(values, mode, bounds=bounds)
    low, high = (
        (-math.inf if bounds[0] is None else bounds[0]),
        (math.inf if bounds[1] is None else bounds[1]),
    )
    assert not low <= free(trial).low <= free(trial).high <= high
    found = within(trial)
    assert low <= found.low <= found.middle <= found.high <= high
    expected = extrapolate(np.array([values]), at=FULL, mode=mode, bounds=bounds).quantile([0.05, 0.5, 0.95])[
        0
    ]
    assert (found.low, found.middle, found.high) == pytest.approx(tuple(expected), rel=1e-6)


def test_a_value_out_of_bounds_counts_as_the_nearer_end():
    foresight, trial = cut_off([*VALUES, 1.2], bounds=(0, 1))
    clipped, other = cut_off([*VALUES, 1.0], bounds=(0, 1))
    assert foresight(trial) == clipped(other)


@pytest.mark.parametrize(
    ("schedule", "bounds"),
    [
        (FullBudget(), None),
        (CurveStopping(), None),
        (CurveStopping(bounds=(0, 1)), (0.0, 1.0)),
        (FreezeThaw(bounds=(0, None)), (0.0, None)),
        (ASHA(rank=ByPredictedEnd(27, bounds=(0, 1))), (0.0, 1.0)),
        (CurveStopping(Hyperband(rank=ByPredictedEnd(27, bounds=(0, 2)))), (0.0, 2.0)),
        (CurveStopping(ASHA(rank=ByPredictedEnd(27, bounds=(0, 2))), bounds=(0, 1)), (0.0, 1.0)),
        (CurveStopping(Hyperband()), None),
    ],
)
def test_the_bounds_are_those_of_the_schedule_or_of_what_is_in_it(schedule, bounds):
    assert bounds_of(schedule) == bounds_of(schedule.resolve(Budget(full=27))) == bounds


def test_under_a_schedule_it_has_its_bounds_and_its_budget():
    schedule = CurveStopping(bounds=(0, 0.7)).resolve(Budget(full=FULL))
    plain, trial = cut_off(VALUES, bounds=(0, 0.7))
    assert Foresight.of(Objective.of("value", "max"), EPOCHS, schedule)(trial) == plain(trial)


def test_bounds_of_several_objectives_are_no_error_where_nothing_is_foreseen():
    schedule = CurveStopping(bounds=[(0, 1), None]).resolve(Budget(full=FULL))
    _, trial = cut_off(VALUES)
    assert Foresight.of(Objective.of(["a", "b"], ["max", "min"]), EPOCHS, schedule)(trial) is None
