import itertools
import math
import statistics

import pytest

from lightning_tune.core.decision import Done
from lightning_tune.core.pareto import hypervolume
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule import Hyperband
from lightning_tune.search import RandomSearch, Searcher
from lightning_tune.search.annealing import SimulatedAnnealing, _FrontWalk
from lightning_tune.search.ledger import read
from lightning_tune.testing.front_problems import PROBLEMS
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.searcher_contract import FINITE, SearcherContract
from lightning_tune.testing.simulated import SimulatedExecutor

SQUARE = Space({"x": Float(-5.0, 5.0), "y": Float(-5.0, 5.0)})
COLD = SimulatedAnnealing(half_life=1e-9)
HOT = SimulatedAnnealing(half_life=1e9, restart_after=10**6)


def bowl(config, step):
    return (config["x"] - 1.0) ** 2 + (config["y"] + 2.0) ** 2


def best(search, curve=bowl, trials=100):
    """Return the median over five seeds of the best score."""
    runs = [run_function(SQUARE, search, curve, max_trials=trials, seed=seed) for seed in range(5)]
    return statistics.median(run.best.score for run in runs)


class TestSimulatedAnnealing(SearcherContract):
    def searcher(self) -> Searcher:
        return SimulatedAnnealing()


class TestChains(SearcherContract):
    def searcher(self) -> Searcher:
        return SimulatedAnnealing(max_trials=20, chains=3, restart_after=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_trials": 0}, "`max_trials` must be an integer of at least 1, got 0"),
        ({"chains": 1.5}, "`chains` must be an integer of at least 1, got 1.5"),
        ({"restart_after": 0}, "`restart_after` must be an integer of at least 1, got 0"),
        ({"half_life": 0}, "`half_life` must be a positive number of trials, got 0"),
        ({"half_life": math.inf}, "`half_life` must be a positive number"),
        ({"half_life": 3, "max_trials": 9}, "`half_life` and `max_trials` both say"),
    ],
)
def test_bad_arguments_are_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        SimulatedAnnealing(**settings)


def test_a_sweep_says_how_many_trials_there_are_unless_it_was_told():
    assert SimulatedAnnealing().resolve(30) == SimulatedAnnealing(max_trials=30)
    for told in (SimulatedAnnealing(max_trials=9), SimulatedAnnealing(half_life=5)):
        assert told.resolve(30) is told
    assert SimulatedAnnealing().resolve(None) == SimulatedAnnealing()


def test_the_temperature_falls_geometrically_to_its_least():
    cooling = SimulatedAnnealing(max_trials=100)
    assert cooling.temperature(0) == 1.0
    assert cooling.temperature(50) == pytest.approx(0.01)
    assert cooling.temperature(100) == pytest.approx(0.0001)
    assert cooling.temperature(1000) == 0.0001
    assert SimulatedAnnealing(half_life=7).temperature(21) == pytest.approx(1 / 8)


def test_it_finds_a_minimum_far_better_than_random_search():
    assert best(SimulatedAnnealing(max_trials=100)) < 0.02
    assert best(RandomSearch()) > 0.05


def test_cold_it_only_goes_downhill_and_in_small_steps():
    history = run_function(SQUARE, COLD, bowl, max_trials=60)
    standing = math.inf
    for trial in list(history)[3:]:
        before = [other for other in history if other.number < trial.number]
        at = min(before, key=lambda other: other.best_cost)
        assert abs(trial.config["x"] - at.config["x"]) < 1.0
        assert at.best_cost <= standing
        standing = at.best_cost


def test_hot_it_often_goes_uphill():
    history = run_function(SQUARE, HOT, bowl, max_trials=200)
    seen = read(SQUARE, history)
    costs = [trial.best_cost for trial in history]
    assert HOT._standing(seen, 0) != costs.index(min(costs))
    assert statistics.median(costs[100:]) > 3.0


@pytest.mark.parametrize(
    ("chains", "costs"), [(1, [5.0, 1.0, 7.0, 7.1, 7.2]), (2, [5.0, 1.0, 7.0, 8.0, 7.0, 8.0, 7.0])]
)
def test_a_chain_restarts_from_the_best_of_all(chains, costs):
    values = iter(costs)
    history = run_function(SQUARE, RandomSearch(), lambda config, step: next(values), max_trials=len(costs))
    seen = read(SQUARE, history)
    assert SimulatedAnnealing(half_life=1e9, chains=chains, restart_after=3)._standing(seen, 0) == 1


def test_chains_walk_side_by_side():
    """Each of two chains starts in a valley of its own, and stays there while it is cold."""
    history = run_function(
        SQUARE, SimulatedAnnealing(half_life=1e-9, chains=2, restart_after=10**6), bowl, max_trials=80
    )
    seen = read(SQUARE, history)
    for chain in (0, 1):
        own = [trial for trial in history if trial.number % 2 == chain]
        at = SimulatedAnnealing(half_life=1e-9, chains=2, restart_after=10**6)._standing(seen, chain)
        assert at == min(own, key=lambda trial: trial.best_cost).number


def test_trials_are_compared_at_a_step_that_both_have_reached():
    """Costs fall with the steps, so a trial stopped early looks worse than it is."""

    def curve(config, step):
        return bowl(config, step) + 100.0 / step

    history = run_function(
        SQUARE, SimulatedAnnealing(max_trials=60), curve, max_trials=60, max_budget=9, schedule=Hyperband()
    )
    assert history.best.score - 100 / 9 < 0.5


def test_a_failure_is_never_where_it_stands():
    def rough(config, step):
        if config["x"] > 0.0:
            raise MemoryError
        return bowl(config, step)

    history = run_function(SQUARE, SimulatedAnnealing(max_trials=80), rough, max_trials=80)
    at = SimulatedAnnealing(max_trials=80)._standing(read(SQUARE, history), 0)
    assert history.groups[at].state == "completed"
    assert history.best.score < 1.2


def test_branches_change():
    space = {"c": Choice({"a": {"u": Float(0.0, 1.0)}, "b": {"v": Float(0.0, 1.0)}})}

    def curve(config, step):
        return config["u"] + 1.0 if config["c"] == "a" else abs(config["v"] - 0.5)

    history = run_function(space, SimulatedAnnealing(max_trials=60), curve, max_trials=60)
    assert history.best.config["c"] == "b"
    assert history.best.score < 0.1


def test_eight_workers_share_a_chain():
    executor = SimulatedExecutor(workers=8)
    search = SimulatedAnnealing(max_trials=100)
    history = run_function(SQUARE, search, bowl, max_trials=100, executor=executor)
    assert executor.busy > 0.95
    assert history.best.score < 0.3


def test_a_finite_space_is_tried_whole_and_then_it_is_done():
    history = run_function(FINITE, SimulatedAnnealing(), lambda config, step: config["b"], max_trials=50)
    assert len(history) == 12
    assert isinstance(SimulatedAnnealing().suggest(FINITE, history, generator(0, "search", 12)), Done)


def test_a_constraint_that_refuses_most_is_kept():
    history = run_function(
        SQUARE,
        SimulatedAnnealing(),
        bowl,
        max_trials=40,
        constraint=lambda config: config["x"] * config["y"] > 6.0,
    )
    assert len(history) == 40
    assert all(trial.config["x"] * trial.config["y"] > 6.0 for trial in history)


def two_bowls(config, step):
    """Return two costs whose front is the line between (1, -2) and (-3, 2)."""
    x, y = config["x"], config["y"]
    return (x - 1.0) ** 2 + (y + 2.0) ** 2, (x + 3.0) ** 2 + (y - 2.0) ** 2


def volume(search):
    """Return the median over five seeds of the volume that 60 trials dominate."""
    runs = [
        run_function(SQUARE, search, two_bowls, max_trials=60, seed=seed, mode=["min", "min"])
        for seed in range(5)
    ]
    return statistics.median(hypervolume([trial.costs for trial in run], [40.0, 40.0]) for run in runs)


@pytest.mark.parametrize("chains", [1, 3])
def test_with_several_objectives_the_walks_cover_the_front(chains: int):
    assert volume(SimulatedAnnealing(max_trials=60, chains=chains)) > volume(RandomSearch()) + 20.0


@pytest.mark.parametrize("name", ["zdt1", "zdt2", "dtlz2"])
def test_with_several_objectives_it_finds_more_of_the_front_than_random_search(name: str):
    problem = PROBLEMS[name]
    assert (
        problem.volume(SimulatedAnnealing(max_trials=100), 100) > problem.volume(RandomSearch(), 100) + 0.08
    )


def test_with_several_objectives_a_walk_weighs_them_anew_when_it_restarts():
    history = run_function(SQUARE, RandomSearch(), two_bowls, max_trials=30, mode=["min", "min"])
    ledger = read(SQUARE, history)
    walk = _FrontWalk(ledger, 6)
    weighed = []
    for index in range(30):
        walk.see(index)
        walk.step(index, 0.0)
        weighed.append(tuple(walk._energies))
        assert walk.at is not None
        assert walk.at <= index
    changes = [index for index in range(1, 30) if weighed[index] != weighed[index - 1]]
    assert len(changes) > 3
    assert min(after - before for before, after in itertools.pairwise(changes)) >= 3
