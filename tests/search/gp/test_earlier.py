import json
import math

import numpy as np
import pytest

from lightning_tune.core.encode import Encoding
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.search import RandomSearch
from lightning_tune.search.gp.earlier import MOST, Earlier, earlier_sweeps, most_telling
from lightning_tune.testing.functions import run_function

SPACE = Space({"lr": Float(0, 1), "new": Float(0, 1), "opt": Choice({"sgd": {"m": Float(0, 1)}, "adam": {}})})


def test_a_history_its_pair_with_a_space_and_pairs_are_the_same():
    history = run_function(
        {"lr": Float(0, 1)}, RandomSearch(), lambda config, step: config["lr"], max_trials=5
    )
    pairs = [(trial.config, trial.cost) for trial in history]
    first, second, third = earlier_sweeps([history, (Space({"lr": Float(0, 1)}), history), pairs])
    assert first == second == third
    assert len(first.costs) == 5
    assert earlier_sweeps(history) == (first,)
    assert earlier_sweeps([first]) == (first,)


def test_configurations_are_placed_where_the_spaces_overlap():
    sweep = Earlier(
        (
            {"lr": 0.2, "opt": "sgd", "m": 0.5, "gone": 3},
            {"lr": 0.4, "new": 0.1, "opt": "adam"},
            {"lr": 7.0},
            {"gone": 1},
            {"opt": "lion"},
        ),
        (1.0, 2.0, 3.0, 4.0, 5.0),
    )
    points, costs = sweep.place(Encoding(SPACE))
    assert costs.tolist() == [1.0, 2.0]
    np.testing.assert_allclose(points, [[0.2, np.nan, 0.25, 0.5], [0.4, 0.1, 0.75, np.nan]])


def test_failures_are_kept_as_failures():
    (sweep,) = earlier_sweeps([[({"lr": 0.1}, math.nan), ({"lr": 0.2}, 1)]])
    assert sweep.costs == (math.inf, 1.0)


def test_it_is_described_by_a_digest():
    one, same, other = (Earlier(({"lr": 0.1},), (cost,)) for cost in (1.0, 1.0, 2.0))
    assert json.loads(json.dumps(one.describe())) == same.describe() != other.describe()
    assert hash(one) == hash(same)


@pytest.mark.parametrize("given", [5, ["sweep.db"], [{"lr": 1}]])
def test_what_is_no_history_is_refused(given):
    with pytest.raises(ArgumentError, match="`history` must be a list with an item for each earlier sweep"):
        earlier_sweeps(given)


def test_of_many_the_best_half_and_others_evenly_are_kept():
    costs = np.random.default_rng(0).random(1000)
    kept = most_telling(costs, MOST)
    assert len(set(kept.tolist())) == MOST
    assert set(np.argsort(costs)[: MOST // 2]) <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert np.median(costs[kept]) > 0.05
    assert most_telling(costs[:10], MOST).tolist() == list(range(10))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            [[({"lr": 0.5}, 1.0), ({"lr": 0.5}, "low")]],
            r"`history\[0\]\[1\]` must be a pair of a configuration",
        ),
        ([[(5, 1.0)]], r"`history\[0\]\[0\]` must be a pair .*, got \(5, 1.0\)"),
        ([[], 7], "item 1 is a int"),
    ],
)
def test_the_item_that_is_wrong_is_named(given, sentence: str):
    with pytest.raises(ArgumentError, match=sentence):
        earlier_sweeps(given)


def test_a_sweep_of_several_objectives_is_not_taken_for_failures():
    history = run_function(
        SPACE, RandomSearch(), lambda config, step: (1.0, 2.0), max_trials=3, mode=["min", "min"]
    )
    with pytest.raises(
        ArgumentError, match=r"`history\[0\]` has 2 objectives, and this search learns from one"
    ):
        earlier_sweeps([history])
