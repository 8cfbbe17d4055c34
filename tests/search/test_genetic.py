import math
import statistics

import numpy as np
import pytest

from lightning_tune.core.decision import Done
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule import SuccessiveHalving
from lightning_tune.search import RandomSearch, Searcher
from lightning_tune.search.genetic import GeneticSearch, by_cost
from lightning_tune.search.ledger import read
from lightning_tune.testing.front_problems import PROBLEMS
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.searcher_contract import FINITE, SearcherContract
from lightning_tune.testing.simulated import SimulatedExecutor

SQUARE = Space({"x": Float(-5.0, 5.0), "y": Float(-5.0, 5.0)})


def bowl(config, step):
    return (config["x"] - 1.0) ** 2 + (config["y"] + 2.0) ** 2


def best(search, space, curve, **settings):
    """Return the median over five seeds of the best score."""
    runs = [run_function(space, search, curve, seed=seed, **settings) for seed in range(5)]
    return statistics.median(run.best.score for run in runs)


class TestGeneticSearch(SearcherContract):
    def searcher(self) -> Searcher:
        return GeneticSearch()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population": 2}, "`population` must be an integer of at least 3, got 2"),
        ({"tournament": 0}, "`tournament` must be an integer of at least 1, got 0"),
        ({"startup": 2.5}, "`startup` must be an integer of at least 3, got 2.5"),
        ({"mutation": 1.5}, "`mutation` must be a chance from 0 to 1, got 1.5"),
        ({"mutation": True}, "`mutation` must be a chance"),
        ({"rank": "cost"}, "`rank` must be a callable"),
    ],
)
def test_bad_arguments_are_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        GeneticSearch(**settings)


def test_it_finds_a_minimum_far_better_than_random_search():
    assert best(GeneticSearch(), SQUARE, bowl, max_trials=100) < 0.02
    assert best(RandomSearch(), SQUARE, bowl, max_trials=100) > 0.05


def test_it_recombines_choices():
    space = {f"c{number}": Choice(list(range(6))) for number in range(8)}

    def mismatches(config, step):
        return sum(config[f"c{number}"] != number % 6 for number in range(8))

    assert best(GeneticSearch(), space, mismatches, max_trials=200) <= 1


def test_it_ranks_by_cost_and_leaves_failures_out():
    def curve(config, step):
        if config["x"] > 2.0:
            raise MemoryError
        return config["x"]

    history = run_function(SQUARE, RandomSearch(), curve, max_trials=30)
    order = by_cost(read(SQUARE, history))
    costs = [history.groups[index].cost for index in order]
    assert costs == sorted(group.cost for group in history.groups if group.state != "failed")


def test_another_ranking_takes_its_place():
    def by_distance(ledger):
        """Prefer what is far from the minimum."""
        return np.argsort(-ledger.costs)

    history = run_function(SQUARE, GeneticSearch(rank=by_distance), bowl, max_trials=100)
    assert np.mean([trial.best_cost for trial in history][60:]) > 60
    assert GeneticSearch(rank=by_distance).describe()["rank"].endswith("by_distance")


def test_under_halving_the_highest_rung_counts():
    def curve(config, step):
        return bowl(config, step) if step > 1 else 100.0 - bowl(config, step)

    settings = {"max_trials": 60, "max_budget": 9, "schedule": SuccessiveHalving(eta=3, min_budget=1)}
    history = run_function(SQUARE, GeneticSearch(), curve, **settings)
    best_first = by_cost(read(SQUARE, history))
    reached = [history.groups[index].members[0].step for index in best_first]
    assert min(reached) >= 3


def test_eight_workers_never_wait():
    executor = SimulatedExecutor(workers=8)
    history = run_function(SQUARE, GeneticSearch(), bowl, max_trials=96, executor=executor)
    assert executor.busy == 1.0
    assert history.best.score < 0.5


def test_a_finite_space_is_tried_whole_and_then_it_is_done():
    history = run_function(FINITE, GeneticSearch(), lambda config, step: config["b"], max_trials=50)
    assert len(history) == 12
    assert isinstance(GeneticSearch().suggest(FINITE, history, generator(0, "search", 12)), Done)


def test_a_constraint_that_refuses_most_is_kept():
    history = run_function(
        SQUARE,
        GeneticSearch(),
        bowl,
        max_trials=40,
        constraint=lambda config: config["x"] * config["y"] > 6.0,
    )
    assert len(history) == 40
    assert all(trial.config["x"] * trial.config["y"] > 6.0 for trial in history)


@pytest.mark.parametrize("name", PROBLEMS)
def test_with_several_objectives_it_finds_more_of_the_front_than_random_search(name: str):
    problem = PROBLEMS[name]
    assert problem.volume(GeneticSearch(), 100) > problem.volume(RandomSearch(), 100) + 0.03


def test_with_several_objectives_groups_are_ranked_by_front_and_then_by_crowding():
    modes = ["min", "max"]
    values = [(3.0, -3.0), (1.0, -4.0), (2.0, -1.8), (2.1, -1.7), (4.0, -1.0), (math.nan, 0.0)]
    replies = iter(values)
    history = run_function(SQUARE, RandomSearch(), lambda c, step: next(replies), max_trials=6, mode=modes)
    ranked = by_cost(read(SQUARE, history)).tolist()
    assert set(ranked[:2]) == {1, 4}
    assert ranked[2:] == [2, 3, 0]
