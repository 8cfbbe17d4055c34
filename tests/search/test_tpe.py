import math
import statistics

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from lightning_tune.core.decision import Done
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule import Hyperband
from lightning_tune.search import RandomSearch, Searcher
from lightning_tune.search.tpe import TPESearch, split
from lightning_tune.store import MemoryStore
from lightning_tune.testing.front_problems import PROBLEMS
from lightning_tune.testing.functions import make_coordinator, run_function
from lightning_tune.testing.searcher_contract import FINITE, SearcherContract
from lightning_tune.testing.simulated import SimulatedExecutor

SQUARE = Space({"x": Float(-5.0, 5.0), "y": Float(-5.0, 5.0)})


def bowl(config, step):
    return (config["x"] - 1.0) ** 2 + (config["y"] + 2.0) ** 2


def best(search, space, curve, seeds=5, **settings):
    """Return the median over seeds of the best score."""
    runs = [run_function(space, search, curve, seed=seed, **settings) for seed in range(seeds)]
    return statistics.median(run.best.score for run in runs)


class TestTPESearch(SearcherContract):
    def searcher(self) -> Searcher:
        return TPESearch()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"startup": 1}, "`startup` must be an integer of at least 2, got 1"),
        ({"candidates": 0}, "`candidates` must be an integer of at least 1, got 0"),
        ({"candidates": True}, "`candidates` must be an integer"),
        ({"good": 0.0}, "`good` must be a share above 0 and below 1, got 0.0"),
        ({"good": 1}, "`good` must be a share"),
    ],
)
def test_bad_arguments_are_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        TPESearch(**settings)


def test_it_finds_a_minimum_far_better_than_random_search():
    assert best(TPESearch(), SQUARE, bowl, max_trials=60) < 0.03
    assert best(RandomSearch(), SQUARE, bowl, max_trials=60) > 0.1


def test_it_finds_what_goes_together():
    space = {"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}

    def ridge(config, step):
        return abs(config["x"] - config["y"]) * 10 + abs(config["x"] + config["y"] - 1.4)

    assert best(TPESearch(), space, ridge, max_trials=80) < 0.5 * best(
        RandomSearch(), space, ridge, max_trials=80
    )


def test_the_good_are_the_best_but_never_more_than_half():
    costs = np.arange(100.0)[::-1].copy()
    good, rest = split(costs, 10)
    assert good.tolist() == list(range(99, 89, -1))
    assert rest.tolist() == list(range(90))
    assert [len(part) for part in split(costs, 0.1)] == [2, 98]
    assert [len(part) for part in split(np.arange(5000.0), 500)] == [25, 1000]
    assert [len(part) for part in split(np.array([1.0, math.inf]), 1)] == [1, 1]


def test_those_who_reached_no_rung_that_decides_are_never_good():
    costs = np.array([3.0, math.inf, 1.0, math.inf, 2.0, math.inf, 4.0])
    good, rest = split(costs, 3.5)
    assert good.tolist() == [2, 4]
    assert rest.tolist() == [0, 1, 3, 5, 6]


def test_it_keeps_away_from_where_trials_fail():
    def rough(config, step):
        if config["x"] > 1.0:
            raise MemoryError
        return bowl(config, step)

    history = run_function(SQUARE, TPESearch(), rough, max_trials=80)
    failed = [trial.state == "failed" for trial in history]
    assert sum(failed[:20]) >= 4
    assert sum(failed[40:]) < 20
    assert history.best.score < 0.5


def test_it_goes_on_where_every_trial_fails():
    def hopeless(config, step):
        raise MemoryError

    assert len(run_function(SQUARE, TPESearch(), hopeless, max_trials=15)) == 15


def test_what_runs_is_avoided():
    """Eight that run side by side lie further apart than eight that do not know of each other."""
    together, alone = [], []
    for seed in range(5):
        store = MemoryStore()
        history = run_function(SQUARE, TPESearch(), bowl, max_trials=40, seed=seed, store=store)
        ignorant = [
            TPESearch().suggest(SQUARE, history, generator(seed, "search", 40 + number))
            for number in range(8)
        ]
        coordinator = make_coordinator(SQUARE, TPESearch(), max_trials=48, seed=seed, store=store)
        coordinator.next_jobs(8)
        together.append(apart([trial.config for trial in coordinator.history][40:]))
        alone.append(apart(ignorant))
    assert np.median(together) > 1.1 * np.median(alone)


def apart(configs):
    """Return the mean distance between two of some configurations."""
    return pdist([[config["x"], config["y"]] for config in configs]).mean()


def test_eight_workers_do_nearly_as_well_as_one():
    parallel = [
        run_function(
            SQUARE, TPESearch(), bowl, max_trials=80, seed=seed, executor=SimulatedExecutor(workers=8)
        ).best.score
        for seed in range(5)
    ]
    assert statistics.median(parallel) < 0.05


def test_a_finite_space_is_tried_whole_and_then_it_is_done():
    history = run_function(FINITE, TPESearch(), lambda config, step: config["b"], max_trials=50)
    assert len(history) == 12
    answer = TPESearch().suggest(FINITE, history, generator(0, "search", 12))
    assert isinstance(answer, Done)
    assert "all 12" in answer.reason


def test_in_a_finite_space_the_best_come_early():
    space = {"a": Choice(list(range(10))), "b": Int(1, 40)}

    def curve(config, step):
        return abs(config["a"] - 3) + abs(config["b"] - 17)

    history = run_function(space, TPESearch(), curve, max_trials=60)
    assert min(trial.best_cost for trial in history) <= 1
    assert len({(trial.config["a"], trial.config["b"]) for trial in history}) == 60


def test_a_branch_is_not_given_up_for_its_first_trials():
    space = {
        "model": Choice(
            {
                "plain": {"a": Float(0.0, 1.0)},
                "fine": {"b": Float(0.0, 1.0), "c": Float(0.0, 1.0)},
                "poor": {"a": Float(0.0, 1.0)},
            }
        )
    }

    def curve(config, step):
        if config["model"] == "fine":
            return 6 * abs(config["b"] - 0.7) + 6 * abs(config["c"] - 0.2)
        return (1.0 if config["model"] == "plain" else 3.0) + config["a"] / 10

    assert best(TPESearch(), space, curve, max_trials=120) < 0.5


def test_under_hyperband_it_learns_from_the_highest_rung_with_enough_trials():
    """The lowest rung is misleading: what learns fast ends badly."""
    space = {"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}

    def curve(config, step):
        final = abs(config["x"] - 0.8) + abs(config["y"] - 0.3)
        return 2.0 + config["x"] * 0.01 if step < 2 else final + 1.0 / step

    settings = {"max_trials": 80, "max_budget": 9, "schedule": Hyperband(eta=3)}
    ours, random = (best(search, space, curve, **settings) for search in (TPESearch(), RandomSearch()))
    assert ours - 1 / 9 < 0.7 * (random - 1 / 9)


def test_a_constraint_that_refuses_most_is_kept():
    history = run_function(
        SQUARE, TPESearch(), bowl, max_trials=30, constraint=lambda config: config["x"] * config["y"] > 6.0
    )
    assert len(history) == 30
    assert all(trial.config["x"] * trial.config["y"] > 6.0 for trial in history)


def test_it_says_how_many_there_are():
    assert TPESearch().size(FINITE) == 12
    assert TPESearch().size(SQUARE) is None
    assert TPESearch(good=0.2).describe() == {
        "name": "TPESearch",
        "startup": 6,
        "good": 0.2,
        "candidates": 48,
    }


@pytest.mark.parametrize("name", PROBLEMS)
def test_with_several_objectives_it_finds_more_of_the_front_than_random_search(name: str):
    problem = PROBLEMS[name]
    assert problem.volume(TPESearch(), 100) > problem.volume(RandomSearch(), 100) + 0.03
