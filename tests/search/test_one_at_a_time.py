import pytest

from lightning_tune.core.decision import Wait
from lightning_tune.core.space import Choice, Float
from lightning_tune.errors import ArgumentError
from lightning_tune.search import OneAtATimeSearch, Searcher
from lightning_tune.testing.functions import make_coordinator, run_function
from lightning_tune.testing.searcher_contract import FINITE, SearcherContract


class TestOneAtATimeSearch(SearcherContract):
    def searcher(self) -> Searcher:
        return OneAtATimeSearch()


def test_it_walks_to_the_best_value_of_one_dimension_after_another():
    """By hand on a separable function.

    From a=x, b=1 first over a (z is best), then over b with a=z (4 is best).
    """
    costs = {"x": 3.0, "y": 2.0, "z": 1.0}
    history = run_function(
        FINITE, OneAtATimeSearch(), lambda c, step: costs[c["a"]] - c["b"] / 10, max_trials=99,
        baselines=[{"a": "x", "b": 1}],
    )  # fmt: skip
    assert [(t.config["a"], t.config["b"]) for t in history] == [
        ("x", 1), ("y", 1), ("z", 1), ("z", 2), ("z", 3), ("z", 4),
    ]  # fmt: skip
    a, b = OneAtATimeSearch().sensitivity(FINITE, history)
    assert (a.key, a.values, a.kept, a.effect) == ("a", ["x", "y", "z"], "z", pytest.approx(2.0))
    assert a.scores == pytest.approx([2.9, 1.9, 0.9])
    assert (b.key, b.kept, b.effect) == ("b", 4, pytest.approx(0.3))
    assert (
        OneAtATimeSearch()
        .summary(FINITE, history)[0]
        .startswith("a: kept 'z' of 3 values, score changes by 2")
    )


def test_a_second_round_is_made_only_if_the_first_changed_something():
    once = run_function(FINITE, OneAtATimeSearch(rounds=5), lambda c, step: 1.0, max_trials=99)
    assert len(once) == 1 + 2 + 3  # the baseline (all tie, it stays), then one round


def test_an_option_brings_its_own_hyperparameters_at_their_centres():
    space = {"optimizer": Choice({"adam": {}, "sgd": {"momentum": Float(0.0, 0.8)}})}
    history = run_function(
        space,
        OneAtATimeSearch(points=3),
        lambda c, step: 0.0 if c["optimizer"] == "sgd" else 1.0,
        max_trials=9,
    )
    assert [trial.config for trial in history] == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.4},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "sgd", "momentum": 0.8},
    ]


def test_it_waits_for_the_round_that_runs():
    coordinator = make_coordinator(FINITE, OneAtATimeSearch(), max_trials=99)
    assert len(coordinator.next_jobs(10)) == 3  # the baseline and the two other values of a
    assert isinstance(coordinator.next_jobs(10), Wait)


@pytest.mark.parametrize(("given", "message"), [({"points": 1}, "`points`"), ({"rounds": 0}, "`rounds`")])
def test_wrong_settings_are_refused(given, message):
    with pytest.raises(ArgumentError, match=message):
        OneAtATimeSearch(**given)


def test_with_several_objectives_the_best_compromise_of_a_round_is_kept():
    """By hand: y is the middle of the line x, y, z; then b=2 of the front 1, 2, 3, 4."""
    first, second = {"x": 0.0, "y": 2.0, "z": 9.0}, {"x": 9.0, "y": 2.0, "z": 0.0}
    price = {1: 0.0, 2: 1.0, 3: 5.0, 4: 9.0}
    history = run_function(
        FINITE,
        OneAtATimeSearch(),
        lambda c, step: (first[c["a"]] + price[c["b"]], second[c["a"]] + 9.0 / c["b"] ** 2),
        max_trials=99,
        baselines=[{"a": "x", "b": 1}],
        mode=["min", "min"],
    )
    search = OneAtATimeSearch()
    found = search.sensitivity(FINITE, history)
    assert [(each.key, each.monitor, each.kept) for each in found] == [
        ("a", "value_0", "y"),
        ("a", "value_1", "y"),
        ("b", "value_0", 2),
        ("b", "value_1", 2),
    ]
    assert found[0].scores == [0.0, 2.0, 9.0]
    assert found[0].effect == 9.0
    assert "b: kept 2 of 4 values, value_1 changes by 8.438" in search.summary(FINITE, history)
