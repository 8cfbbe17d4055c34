import math

import numpy as np
import pytest

from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.schedule import MedianStopping, SuccessiveHalving
from lightning_tune.search import RandomSearch
from lightning_tune.search.gp.data import Rows, _levels, see
from lightning_tune.search.gp.layout import layout_of
from lightning_tune.testing.functions import make_coordinator, run_function

SPACE = Space({"x": Float(0, 1)})


def test_a_sweep_without_rungs_has_a_row_a_trial():
    history = run_function(
        SPACE, RandomSearch(), lambda c, step: c["x"] + 1 / step, max_trials=6, max_budget=3
    )
    seen = see(layout_of(SPACE), history)
    np.testing.assert_allclose(seen.rows.points[:, 0], [trial.config["x"] for trial in history])
    np.testing.assert_allclose(seen.rows.costs, [trial.cost for trial in history])
    assert seen.rows.levels.tolist() == [1.0] * 6
    assert len(seen.pending) == 0


def test_a_trial_teaches_at_every_rung():
    history = run_function(
        SPACE,
        RandomSearch(),
        lambda c, step: c["x"] + 1 / step,
        max_trials=9,
        max_budget=9,
        schedule=SuccessiveHalving(num_trials=9, min_budget=1, eta=3, max_budget=9),
    )
    seen = see(layout_of(SPACE), history)
    counts = {level: int((seen.rows.levels == level).sum()) for level in set(seen.rows.levels.tolist())}
    assert counts == {0.0: 9, 0.5: 3, 1.0: 1}
    steps = 9.0**seen.rows.levels
    np.testing.assert_allclose(seen.rows.costs, seen.rows.points[:, 0] + 1 / steps)


def test_failures_are_infinite_at_the_largest_budget():
    def rough(config, step):
        if config["x"] < 0.5:
            raise MemoryError
        return math.nan if config["x"] > 0.9 else 1.0

    history = run_function(SPACE, RandomSearch(), rough, max_trials=20)
    seen = see(layout_of(SPACE), history)
    bad = (seen.rows.points[:, 0] < 0.5) | (seen.rows.points[:, 0] > 0.9)
    assert np.isinf(seen.rows.costs).tolist() == bad.tolist()
    assert seen.rows.levels.tolist() == [1.0] * 20


def test_a_trial_that_was_stopped_between_two_rungs_teaches_where_it_stood():
    history = run_function(
        SPACE,
        RandomSearch(),
        lambda c, step: c["x"] + 1 / step,
        max_trials=12,
        max_budget=8,
        schedule=MedianStopping(min_trials=3, min_budget=2),
    )
    stopped = [trial for trial in history if trial.state == "stopped"]
    assert stopped
    seen = see(layout_of(SPACE), history)
    assert len(seen.rows) == 12
    places = [trial.number for trial in stopped]
    np.testing.assert_allclose(seen.rows.costs[places], [trial.cost for trial in stopped])
    assert seen.rows.levels[places].max() < 1.0


def test_running_trials_are_pending():
    coordinator = make_coordinator(SPACE, RandomSearch(), max_trials=4)
    coordinator.next_jobs(3)
    seen = see(layout_of(SPACE), coordinator.history)
    assert len(seen.rows) == 0
    assert seen.pending.shape == seen.tried.shape == (3, 1)


def test_configurations_of_another_space_are_left_out():
    history = run_function(SPACE, RandomSearch(), lambda c, step: c["x"], max_trials=10)
    narrow = Space({"x": Float(0, 0.5)})
    seen = see(layout_of(narrow), history)
    assert len(seen.tried) == sum(trial.config["x"] <= 0.5 for trial in history) < 10
    other = Space({"y": Choice([1, 2])})
    assert see(layout_of(other), history).tried.shape == (0, 1)


@pytest.mark.parametrize("repeats", [1, 3])
def test_repeats_are_one_row_with_their_mean(repeats: int):
    history = run_function(SPACE, RandomSearch(), lambda c, step: c["x"], max_trials=4, repeats=repeats)
    seen = see(layout_of(SPACE), history)
    np.testing.assert_allclose(seen.rows.costs, [group.cost for group in history.groups])
    assert len(seen.rows) == 4


def test_costs_are_levelled_by_the_usual_gain():
    """From the first level to the second trials gain 2 (the median of 1, 2, 7), to the third 10."""
    rows = Rows(
        points=np.zeros((8, 1)),
        levels=np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 1.0]),
        costs=np.array([20.0, 21.0, 22.0, math.inf, 19.0, 19.0, 15.0, 9.0]),
        trials=np.array([0, 1, 2, 3, 0, 1, 2, 0]),
    )
    assert rows.levelled().tolist() == [8.0, 9.0, 10.0, math.inf, 9.0, 9.0, 5.0, 9.0]


def test_without_a_trial_at_both_levels_costs_stay():
    rows = Rows(
        points=np.zeros((2, 1)), levels=np.array([0.0, 1.0]), costs=np.array([3.0, 1.0]), trials=np.arange(2)
    )
    assert rows.levelled().tolist() == [3.0, 1.0]


def test_a_budget_that_only_the_trainer_knows_counts_as_the_largest():
    assert _levels(np.array([math.inf, math.inf])).tolist() == [1.0, 1.0]
    assert _levels(np.array([1.0, 9.0, math.inf, 3.0])).tolist() == pytest.approx([0.0, 1.0, 1.0, 0.5])
