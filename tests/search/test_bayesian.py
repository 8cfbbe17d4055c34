import json
import math
import pickle
import time

import numpy as np
import pytest

from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.pareto import hypervolume
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.optimize import optimize
from lightning_tune.schedule import ASHA, Hyperband
from lightning_tune.search import RandomSearch, Searcher
from lightning_tune.search.bayesian import BayesianSearch
from lightning_tune.search.gp import fit
from lightning_tune.store import MemoryStore
from lightning_tune.testing.front_problems import PROBLEMS
from lightning_tune.testing.functions import run_function, story
from lightning_tune.testing.searcher_contract import FINITE, MIXED, SearcherContract, bowl, bowl_and_price
from lightning_tune.testing.simulated import SimulatedExecutor

PLANE = Space({"x": Float(-5, 10), "y": Float(0, 15)})


def branin(config, step):
    x, y = config["x"], config["y"]
    curve = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def best(history) -> float:
    return min(trial.cost for trial in history)


class TestBayesianSearch(SearcherContract):
    def searcher(self) -> Searcher:
        return BayesianSearch()


class TestWithEarlierSweeps(SearcherContract):
    trials = 12

    def searcher(self) -> Searcher:
        earlier = [({"lr": 10.0**-k, "optimizer": "adam"}, float(abs(k - 3))) for k in range(2, 5)]
        return BayesianSearch(history=[earlier])

    def test_several_objectives_give_the_same_sweep_twice_and_after_a_restart(self) -> None:
        """Earlier sweeps teach one objective."""
        with pytest.raises(ArgumentError, match="`history` teaches one objective, this sweep has 2: value_0"):
            run_function(MIXED, self.searcher(), bowl_and_price, max_trials=3, mode=["min", "max"])


def test_fifty_suggestions_are_the_same_twice_and_after_a_restart_half_way():
    """Also with nothing left of what was remembered."""
    first = run_function(PLANE, BayesianSearch(), branin, max_trials=50)
    fit._memory.clear()
    second = run_function(PLANE, BayesianSearch(), branin, max_trials=50)
    store = MemoryStore()
    run_function(PLANE, BayesianSearch(), branin, max_trials=50, store=store, kill_after=25)
    fit._memory.clear()
    third = run_function(PLANE, BayesianSearch(), branin, max_trials=50, store=store)
    assert story(first) == story(second) == story(third)


def test_a_smooth_function_is_solved():
    history = run_function(PLANE, BayesianSearch(), branin, max_trials=40)
    assert best(history) == pytest.approx(0.397887, abs=1e-3)


def test_a_conditional_space_is_searched_better_than_at_random():
    ours, random = (
        np.median([best(run_function(MIXED, search, bowl, max_trials=30, seed=seed)) for seed in range(3)])
        for search in (BayesianSearch(), RandomSearch())
    )
    assert ours < 0.5 * (random - 1.0) + 1.0  # 1 is the function's minimum


def test_a_branch_is_not_written_off_for_a_few_bad_values():
    """It is bad wherever it was tried, and yet it is looked at now and then, all over; but not often."""
    space = Space({"c": Choice({"rough": {"a": Float(0, 1)}, "flat": {"b": Float(0, 1)}})})

    def cliff(config, step):
        return 1.0 + 0.1 * config["b"] if config["c"] == "flat" else 10.0

    history = run_function(space, BayesianSearch(), cliff, max_trials=60)
    places = sorted(trial.config["a"] for trial in history if trial.config["c"] == "rough")
    assert 7 <= len(places) <= 15
    assert np.diff(places).max() < 0.5


def test_a_finite_space_is_tried_whole_and_then_it_is_done():
    history = run_function(FINITE, BayesianSearch(), lambda config, step: float(config["b"]), max_trials=50)
    assert len({json.dumps(trial.config) for trial in history}) == len(history) == 12


def test_workers_do_not_propose_the_same_point():
    history = run_function(
        PLANE, BayesianSearch(), branin, max_trials=40, executor=SimulatedExecutor(workers=8)
    )
    points = np.array([[trial.config["x"] / 15, trial.config["y"] / 15] for trial in history])
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    together = [apart[i, j] for i in range(8, 40) for j in range(max(0, i - 7), i)]
    assert np.quantile(together, 0.05) > 1e-3
    assert best(history) < 0.6


def test_failures_teach_where_not_to_look():
    """The part above y = 9 fails, 40% of the plane; few trials are spent there."""

    def rough(config, step):
        if config["y"] > 9:
            raise MemoryError
        return branin(config, step)

    history = run_function(PLANE, BayesianSearch(), rough, max_trials=40)
    late = [trial.state == "failed" for trial in history][20:]
    assert sum(late) <= 5
    assert best(history) < 0.5


def test_all_trials_failed_so_far():
    def broken(config, step):
        raise MemoryError

    history = run_function(PLANE, BayesianSearch(), broken, max_trials=12)
    assert len(history) == 12


@pytest.mark.parametrize("schedule", [Hyperband(max_budget=9), ASHA(max_budget=9)])
def test_it_learns_over_partial_training(schedule):
    """Costs fall with the budget; most trials stop early, and the model learns from them all the same."""

    def curve(config, step):
        return branin(config, step) + 20.0 / step

    def gap(search) -> float:
        tops = []
        for seed in range(3):
            history = run_function(
                PLANE, search, curve, max_trials=40, max_budget=9, schedule=schedule, seed=seed
            )
            tops.append(min(branin(trial.config, 9) for trial in history if trial.step == 9))
        return float(np.median(tops))

    assert gap(BayesianSearch()) < min(2.0, gap(RandomSearch()))


def test_a_prior_helps_when_it_is_right_and_wears_off_when_it_is_wrong():
    def first_good(prior, seed):
        history = run_function(PLANE, BayesianSearch(prior=prior), branin, max_trials=30, seed=seed)
        costs = np.minimum.accumulate([trial.cost for trial in history])
        return int(np.argmax(costs < 1.0)) if costs[-1] < 1.0 else 30, costs[-1]

    right = [first_good({"x": (math.pi, 0.05), "y": (2.275, 0.05)}, seed)[0] for seed in range(3)]
    wrong = [first_good({"x": (10.0, 0.1), "y": (15.0, 0.1)}, seed)[1] for seed in range(3)]
    assert max(right) == 0
    assert np.median(wrong) < 1.0


def test_earlier_sweeps_speed_it_up():
    old = run_function(PLANE, BayesianSearch(), lambda c, step: 3 * branin(c, step) + 50, max_trials=30)
    fresh = run_function(PLANE, BayesianSearch(history=[old]), branin, max_trials=5, seed=1)
    assert best(fresh) < 0.6


def test_an_earlier_sweep_without_a_key_of_this_space():
    old = [({"x": x}, (x - 3.0) ** 2) for x in np.linspace(-5, 10, 12).tolist()]
    history = run_function(PLANE, BayesianSearch(history=[old]), branin, max_trials=25)
    assert best(history) < 1.0


def test_its_settings_tell_earlier_sweeps_apart():
    one, other = (BayesianSearch(history=[[({"x": 1.0}, cost)]]) for cost in (1.0, 2.0))
    assert one.describe() != other.describe()
    assert json.loads(json.dumps(one.describe())) == one.describe()
    assert pickle.loads(pickle.dumps(one)) == one != other


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"starts": 1}, "`starts` must be an integer of at least 2, or None, got 1"),
        ({"starts": 2.5}, "`starts` must be"),
        ({"noise": -1.0}, "`noise` must be a standard deviation of 0 or more, or None, got -1.0"),
        ({"noise": math.nan}, "`noise` must be"),
        ({"prior": {"x": (1.0, -1)}}, r"`prior\['x'\]` must be"),
        ({"history": [3]}, "`history` must be a list"),
    ],
)
def test_bad_settings_are_refused(settings, sentence: str):
    with pytest.raises(ArgumentError, match=sentence):
        BayesianSearch(**settings)


EARLIER = [({"x": 1.0, "y": 2.0}, 0.5), ({"x": 2.0, "y": 2.0}, 0.7)]


@pytest.mark.parametrize(
    ("settings", "mode", "sentence"),
    [
        ({"prior": {"z": 1.0}}, "min", "`prior` names 'z', which the space lacks"),
        ({"prior": {"x": 70.0}}, "min", r"`prior\['x'\]` must be a value of Float"),
        ({"noise": [0.1, 0.2]}, "min", r"one an objective \(1 here\), got \[0.1, 0.2\]"),
        (
            {"history": [EARLIER, [({"x": 40.0}, 1.0), ({"depth": 3}, 2.0)]]},
            "min",
            r"`history\[1\]` must have trials with values of this space \(x, y\); none of its 2 has",
        ),
        ({"history": [EARLIER]}, ["min", "max"], "`history` teaches one objective, this sweep has 2"),
    ],
)
def test_what_does_not_fit_the_sweep_is_refused_before_a_trial(settings, mode, sentence: str):
    """Nothing is recorded either: the store stays empty."""
    store, tried = MemoryStore(), []
    with pytest.raises(ArgumentError, match=sentence):
        optimize(tried.append, PLANE, search=BayesianSearch(**settings), mode=mode, max_trials=5, store=store)
    assert not tried
    assert not store.sweeps()


def test_what_failed_earlier_is_not_tried_first():
    failed = {"x": 1.0, "y": 2.0}
    search = BayesianSearch(history=[[(failed, math.nan)]])
    history = run_function(PLANE, search, branin, max_trials=2)
    assert failed not in [trial.config for trial in history]


def test_an_empty_earlier_sweep_is_no_mistake():
    search = BayesianSearch(history=[History(Objective.of("cost", "min", "best"))])
    result = optimize(lambda c: c["x"], PLANE, search=search, max_trials=3)
    assert len(result.trials) == 3


def test_starts_come_before_the_model():
    """Eight starts are a Latin hypercube: each eighth of an axis is used once."""
    history = run_function(PLANE, BayesianSearch(starts=8), branin, max_trials=8)
    places = [(trial.config["x"] + 5) / 15 for trial in history]
    assert sorted(int(place * 8) for place in places) == list(range(8))


def test_a_long_sweep_costs_what_a_shorter_one_does():
    """After 3,000 trials a suggestion rests on as many rows as after 600."""
    space = Space({name: Float(0, 1) for name in "abcdef"})

    def seconds(trials: int) -> float:
        history = run_function(space, RandomSearch(), lambda c, step: sum(c.values()), max_trials=trials)
        times = []
        for number in range(3):
            start = time.perf_counter()
            BayesianSearch().suggest(space, history, generator(0, "search", trials + number))
            times.append(time.perf_counter() - start)
        return min(times[1:])

    assert seconds(3000) < 3 * seconds(600)


def test_many_dimensions():
    space = Space({f"x{i}": Float(-1, 1) for i in range(40)} | {"n": Int(1, 9), "c": Choice(["a", "b"])})

    def sphere(config, step):
        return sum(config[f"x{i}"] ** 2 for i in range(5)) + 0.1 * (config["c"] == "a")

    ours, random = (
        best(run_function(space, s, sphere, max_trials=45)) for s in (BayesianSearch(), RandomSearch())
    )
    assert ours < 0.5 * random


def test_noise_may_be_told_for_each_objective():
    search = BayesianSearch(noise=[0.0, None])
    assert json.loads(json.dumps(search.describe()))["noise"] == [0.0, None]
    assert pickle.loads(pickle.dumps(search)) == search
    history = run_function(
        PLANE, search, lambda c, step: (c["x"] ** 2, c["y"] - c["x"]), max_trials=10, mode=["min", "max"]
    )
    assert len(history) == 10
    with pytest.raises(ArgumentError, match="`noise` must be one number or one an objective \\(1 here\\)"):
        run_function(PLANE, search, branin, max_trials=3)
    with pytest.raises(ArgumentError, match="`noise` must be a standard deviation"):
        BayesianSearch(noise=[0.1, -0.1])


@pytest.mark.parametrize("name", PROBLEMS)
def test_with_several_objectives_it_finds_more_of_the_front_than_random_search(name: str):
    """With three objectives that takes longer: until 50 trials it is no better."""
    problem = PROBLEMS[name]
    trials = 60 if len(problem.reference) == 2 else 100
    assert problem.volume(BayesianSearch(), trials, seeds=1) > problem.volume(RandomSearch(), trials) + 0.07


def test_parallel_workers_find_a_front_too():
    """Running trials are seen, so four at a time find nearly as much."""
    problem = PROBLEMS["zdt1"]
    history = run_function(
        problem.space,
        BayesianSearch(),
        problem,
        max_trials=40,
        mode=["min", "min"],
        executor=SimulatedExecutor(workers=4),
    )
    volume = hypervolume([trial.costs for trial in history if trial.costs], problem.reference)
    assert volume > 0.9 * problem.most


def test_several_objectives_under_halving_teach_at_every_rung():
    problem = PROBLEMS["dtlz2"]
    history = run_function(
        problem.space,
        BayesianSearch(),
        lambda c, step: tuple(value + 1.0 / step for value in problem(c, step)),
        max_trials=30,
        max_budget=9,
        schedule=Hyperband(),
        mode=["min", "min"],
    )
    assert len(history) == 30
    assert len({trial.step for trial in history}) > 1
