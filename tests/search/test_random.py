import math

import pytest
from scipy.stats import kstest

from lightning_tune.core.space import Float, Int
from lightning_tune.errors import SpaceError
from lightning_tune.search import RandomSearch, Searcher
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.searcher_contract import FINITE, SearcherContract


class TestRandomSearch(SearcherContract):
    def searcher(self) -> Searcher:
        return RandomSearch()


def test_a_finite_space_is_tried_whole_and_then_it_is_done():
    history = run_function(FINITE, RandomSearch(), lambda config, step: 1.0, max_trials=50)
    assert len(history) == 12
    assert len({(trial.config["a"], trial.config["b"]) for trial in history}) == 12


def test_a_large_finite_space_is_finished_too():
    space = {"a": Int(1, 3000)}
    history = run_function(space, RandomSearch(), lambda config, step: 1.0, max_trials=3100)
    assert sorted(trial.config["a"] for trial in history) == list(range(1, 3001))


def test_draws_are_uniform_in_the_transformed_space():
    history = run_function(
        {"lr": Float(1e-4, 1.0, log=True)}, RandomSearch(), lambda config, step: 1.0, max_trials=400
    )
    logs = [math.log10(trial.config["lr"]) / 4 + 1 for trial in history]
    assert kstest(logs, "uniform").pvalue > 0.01


def test_another_seed_gives_another_sweep():
    first, second = (
        run_function(FINITE, RandomSearch(), lambda config, step: 1.0, max_trials=6, seed=seed)
        for seed in (0, 1)
    )
    assert [trial.config for trial in first] != [trial.config for trial in second]


def test_a_constraint_that_refuses_everything_is_an_error():
    space = {"lr": Float(0.0, 1.0)}
    with pytest.raises(SpaceError, match="`constraint` refused 100,000"):
        run_function(
            space, RandomSearch(), lambda config, step: 1.0, max_trials=1, constraint=lambda config: False
        )


def test_a_constraint_that_few_of_a_finite_space_meet_is_searched_whole():
    space = {"a": Int(0, 20000)}
    history = run_function(
        space,
        RandomSearch(),
        lambda config, step: 1.0,
        max_trials=9,
        constraint=lambda config: config["a"] == 7,
    )
    assert [trial.config for trial in history] == [{"a": 7}]
