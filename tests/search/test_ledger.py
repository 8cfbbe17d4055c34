import math

import numpy as np
import pytest

from lightning_tune.core.space import Float, Int, Space
from lightning_tune.schedule import SuccessiveHalving
from lightning_tune.search import RandomSearch, observed
from lightning_tune.search.front import places
from lightning_tune.search.ledger import read
from lightning_tune.search.observed import encoding_of
from lightning_tune.testing.functions import make_coordinator, run_function
from lightning_tune.testing.searcher_contract import MIXED, bowl

SPACE = Space({"x": Float(0.0, 1.0), "n": Int(1, 9)})


def uneven(config, step):
    """Return a cost that is the number of the trial's option; some fail, some never have a finite one."""
    if config["n"] == 1:
        raise MemoryError
    return math.nan if config["n"] == 2 else config["n"] + 1.0 / step


def test_it_holds_every_group_as_the_history_does():
    history = run_function(SPACE, RandomSearch(), uneven, max_trials=40, max_budget=3)
    seen = read(SPACE, history)
    assert len(seen) == 40
    for index, group in enumerate(history.groups):
        assert seen.groups[index] is group
        assert seen.points[index] == pytest.approx(encoding_of(SPACE).encode(group.config))
        failed = group.state == "failed"
        assert seen.costs[index] == (math.inf if failed else group.cost)
        assert seen.ended[index]
        assert failed or seen.reach[index] == 3


def test_a_running_trial_has_no_cost_yet_and_has_not_ended():
    coordinator = make_coordinator(SPACE, RandomSearch(), max_trials=4)
    coordinator.next_jobs(2)
    seen = read(SPACE, coordinator.history)
    assert np.isnan(seen.costs).all()
    assert not seen.ended.any()
    assert not seen.scored.any()
    assert np.isinf(seen.decisive(1)).all()


def test_repeats_count_once_with_their_mean():
    values = iter([1.0, 3.0, 10.0, 20.0])
    history = run_function(SPACE, RandomSearch(), lambda config, step: next(values), max_trials=2, repeats=2)
    seen = read(SPACE, history)
    assert seen.costs.tolist() == [2.0, 15.0]
    assert seen.ended.all()


def test_what_is_kept_changes_nothing():
    history = run_function(MIXED, RandomSearch(), bowl, max_trials=100)
    first = read(MIXED, history)
    observed._places.clear()
    second = read(MIXED, history)
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.costs, second.costs)


def test_an_earlier_ledger_stays_as_it_was_while_the_history_grows():
    coordinator = make_coordinator(SPACE, RandomSearch(), max_trials=200)
    coordinator.next_jobs(60)
    before = read(SPACE, coordinator.history)
    points = before.points.copy()
    coordinator.next_jobs(100)
    assert len(read(SPACE, coordinator.history)) == 160
    assert len(before) == 60
    np.testing.assert_array_equal(before.points, points)


def test_configurations_of_another_space_are_left_out():
    history = run_function(SPACE, RandomSearch(), lambda config, step: config["x"], max_trials=30)
    narrow = Space({"x": Float(0.0, 1.0), "n": Int(1, 4)})
    seen = read(narrow, history)
    inside = [group.number for group in history.groups if group.config["n"] <= 4]
    assert [group.number for group in seen.groups] == inside
    assert 0 < len(inside) < 30


def test_without_rungs_all_whole_trials_are_compared():
    history = run_function(SPACE, RandomSearch(), uneven, max_trials=30, max_budget=4)
    seen = read(SPACE, history)
    expected = [group.cost if group.state != "failed" else math.inf for group in history.groups]
    assert seen.decisive(5).tolist() == expected


@pytest.mark.parametrize(("least", "level"), [(1, 9), (3, 3), (4, 1)])
def test_under_halving_the_highest_rung_with_enough_trials_decides(least, level):
    history = run_function(
        SPACE,
        RandomSearch(),
        lambda config, step: config["x"] - step / 100,
        max_trials=9,
        max_budget=9,
        schedule=SuccessiveHalving(eta=3, min_budget=1),
    )
    reached = [max(trial.step for trial in group.members) for group in history.groups]
    assert sorted(reached) == [1, 1, 1, 1, 1, 1, 3, 3, 9]
    costs = read(SPACE, history).decisive(least)
    for group, step, cost in zip(history.groups, reached, costs, strict=True):
        expected = group.config["x"] - level / 100 if step >= level else math.inf
        assert cost == pytest.approx(expected)


def two(config, step):
    """Return two costs that fall with the steps; some trials fail, some have one that is not a number."""
    if config["n"] == 1:
        raise MemoryError
    return (math.nan if config["n"] == 2 else config["n"] + 1.0 / step, config["x"] + 1.0 / step)


@pytest.mark.parametrize("repeats", [1, 2])
def test_several_objectives_are_rows_and_are_compared_by_their_order(repeats: int):
    modes = ["min", "max"]
    history = run_function(
        SPACE, RandomSearch(), two, max_trials=30, max_budget=3, mode=modes, repeats=repeats
    )
    seen = read(SPACE, history)
    assert seen.several
    for index, group in enumerate(history.groups):
        costs = group.costs
        if costs is None:
            assert not seen.scored[index]
        else:
            assert seen.vectors[index].tolist() == pytest.approx(costs)
            assert costs[1] == pytest.approx(-group.config["x"] - 1.0 / 3.0)
    np.testing.assert_array_equal(
        seen.decisive(6), places(np.where(seen.scored[:, None], seen.vectors, np.inf))
    )
    assert np.isinf(seen.decisive(6)[~seen.scored]).all()


def test_with_several_objectives_those_are_compared_that_reached_a_rung_with_what_they_had_there():
    history = run_function(
        SPACE,
        RandomSearch(),
        lambda config, step: (config["x"] + 1.0 / step, config["n"] - config["x"] + 1.0 / step),
        max_trials=20,
        max_budget=9,
        schedule=SuccessiveHalving(min_budget=1, eta=3),
        mode=["min", "min"],
    )
    seen = read(SPACE, history)
    there = np.flatnonzero(np.isfinite(seen.decisive_vectors(6)).all(axis=1))
    assert 6 <= len(there) < 20
    level = float(np.sort(seen.reach)[-6])
    for index in there:
        assert seen.decisive_vectors(6)[index].tolist() == pytest.approx(
            history.costs_at(history.groups[index], level)
        )
