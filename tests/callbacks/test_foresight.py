"""Checks one after another, as a run goes, against calling `extrapolate` by hand for each."""

import math
import pickle

import numpy as np
import pytest

from lightning_tune.callbacks.checks import Checks
from lightning_tune.callbacks.foresight import Foresight
from lightning_tune.callbacks.outlook import Rule
from lightning_tune.core.objective import Objective
from lightning_tune.curves.posterior import extrapolate

END = 20
FLAT = [0.5, 0.6, 0.65, 0.67, 0.675, 0.677, 0.678, 0.678, 0.678]


def foresight(threshold=0.05, mode="max", end=END, **settings):
    rule = Rule(mode=mode, threshold=threshold)
    return Foresight(Checks(objective=Objective.of("val_acc", mode), rule=rule, **settings), end)


def run(sight, values, may_stop=True):
    """Give values one by one; return the verdicts."""
    verdicts = []
    for value in values:
        sight.curve[sight.newest + 1] = value
        assert sight.fresh
        verdicts.append(sight.weigh(may_stop, None, {}))
        sight.take(verdicts[-1])
        assert not sight.fresh
    return verdicts


def chances(values, goal, mode="max"):
    """The chance to beat a goal, after each value."""
    found = [extrapolate(np.array([values[:n]]), at=END, mode=mode) for n in range(1, len(values) + 1)]
    target = (
        [goal] * len(values) if goal is not None else [max(values[:n]) for n in range(1, len(values) + 1)]
    )
    return [each.prob_better(one)[0] for each, one in zip(found, target, strict=True)]


@pytest.mark.parametrize("target", [0.7, None])
def test_it_stops_at_the_first_check_with_too_small_a_chance(target):
    wanted = chances(FLAT, target)
    threshold = float(sorted(wanted[3:])[1]) * 1.0001  # two of the checks fail, from the fourth value on
    verdicts = run(foresight(threshold, target=target), FLAT)
    assert [verdict.outlook.chance for verdict in verdicts] == pytest.approx(wanted)
    stops = [verdict.decision.action == "stop" for verdict in verdicts]
    assert stops == [epoch >= 4 and chance < threshold for epoch, chance in enumerate(wanted, 1)]
    assert sum(stops) == 2
    assert "0.7 by epoch 20" in verdicts[-1].outlook.reason or "its own best of 0.678" in (
        verdicts[-1].outlook.reason
    )


def test_patience_counts_checks_in_a_row():
    values = [0.5, 0.5, 0.5, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5, 0.5]
    wanted = chances(values, 0.8)
    threshold = 0.3
    row, expected = 0, []
    for epoch, chance in enumerate(wanted, 1):
        row = row + 1 if epoch >= 4 and chance < threshold else 0
        expected.append(row)
    verdicts = run(foresight(threshold, target=0.8, patience=3), values)
    assert [verdict.failures for verdict in verdicts] == expected
    assert max(expected) >= 2
    assert 0 in expected[5:]
    stops = [verdict.decision.action == "stop" for verdict in verdicts]
    assert stops == [row >= 3 for row in expected]
    hopeless = [verdict for verdict in verdicts if verdict.failures]
    assert hopeless[1].decision.reason.endswith(", 2 of 3 times in a row")


def test_only_epochs_that_are_due_are_looked_at():
    verdicts = run(foresight(0.99, target=5.0, check_every=3, min_epochs=4), FLAT)
    assert [verdict.outlook is not None for verdict in verdicts] == [n % 3 == 0 for n in range(1, 10)]
    assert [verdict.decision.action for verdict in verdicts].index("stop") == 5


def test_only_values_count_towards_the_first_check():
    values = [0.5, math.nan, 0.6, math.nan, 0.65, 0.67]
    verdicts = run(foresight(0.99, target=5.0, check_finite=False), values)
    assert [verdict.decision.action for verdict in verdicts] == ["continue"] * 5 + ["stop"]


def test_neither_the_last_epoch_nor_one_that_may_not_stop_is_a_check():
    actions = [verdict.decision.action for verdict in run(foresight(0.99, target=5.0, end=9), FLAT)]
    assert actions == ["continue"] * 3 + ["stop"] * 5 + ["continue"]
    verdicts = run(foresight(0.99, target=5.0), FLAT, may_stop=False)
    assert not [verdict for verdict in verdicts if verdict.decision.reason or verdict.failures]
    assert all(verdict.outlook.chance < 0.5 for verdict in verdicts)


def test_beyond_the_last_epoch_nothing_is_predicted():
    verdicts = run(foresight(0.99, target=5.0, end=5, min_epochs=5), FLAT)
    assert [verdict.outlook is not None for verdict in verdicts] == [True] * 5 + [False] * 4


@pytest.mark.parametrize(("value", "shown"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_a_value_that_is_not_finite_ends_it_unless_told_otherwise(value, shown):
    verdict = run(foresight(), [0.5, value])[-1]
    assert (verdict.decision.action, verdict.decision.reason) == ("stop", f"epoch 2: val_acc is {shown}")
    assert run(foresight(), [0.5, value], may_stop=False)[-1].decision.action == "continue"
    assert run(foresight(check_finite=False), [0.5, value])[-1].decision.action == "continue"


@pytest.mark.parametrize("mode", ["min", "max"])
def test_its_own_best_is_of_the_finite_values(mode):
    values = [0.5, 0.9, 0.1, -math.inf, math.inf, math.nan, 0.4]
    verdict = run(foresight(mode=mode, check_finite=False), values)[-1]
    assert f"its own best of {0.9 if mode == 'max' else 0.1}" in verdict.outlook.reason


def test_a_state_is_all_that_it_needs_to_go_on():
    whole = foresight(0.3, target=0.7, patience=9)
    verdicts = run(whole, FLAT)
    first = foresight(0.3, target=0.7, patience=9)
    run(first, FLAT[:5])
    again = foresight(0.3, target=0.7, patience=9)
    assert again.load(pickle.loads(pickle.dumps(first.state())))
    assert run(again, FLAT[5:]) == verdicts[5:]
    assert verdicts[-1].failures > 0
    assert again.state() == whole.state()


def test_another_last_epoch_begins_the_count_anew():
    first = foresight(0.99, target=5.0, patience=9)
    run(first, FLAT)
    again = foresight(0.99, target=5.0, patience=9, end=30)
    assert first.failures == 6
    assert not again.load(first.state())
    assert (again.failures, again.newest, again.fresh) == (0, 9, False)
