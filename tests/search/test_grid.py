import pytest

from lightning_tune.core.space import Float, Int
from lightning_tune.errors import ArgumentError
from lightning_tune.search import GridSearch, Searcher
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.searcher_contract import FINITE, SearcherContract


class TestGridSearch(SearcherContract):
    def searcher(self) -> Searcher:
        return GridSearch()


def test_every_combination_is_tried_once_in_a_fixed_order():
    history = run_function(FINITE, GridSearch(), lambda config, step: 1.0, max_trials=99)
    tried = [(trial.config["a"], trial.config["b"]) for trial in history]
    assert sorted(tried) == [(a, b) for a in "xyz" for b in (1, 2, 3, 4)]


def test_points_a_dimension():
    space = {"lr": Float(0.0, 1.0), "width": Int(1, 9)}
    history = run_function(space, GridSearch({"lr": 2, "width": 3}), lambda config, step: 1.0, max_trials=99)
    assert sorted({trial.config["lr"] for trial in history}) == [0.0, 1.0]
    assert sorted({trial.config["width"] for trial in history}) == [1, 5, 9]


def test_a_baseline_on_the_grid_is_not_tried_again():
    history = run_function(
        FINITE, GridSearch(), lambda config, step: 1.0, max_trials=99, baselines=[{"a": "z", "b": 3}]
    )
    assert len(history) == 12
    assert history.trials[0].config == {"a": "z", "b": 3}


@pytest.mark.parametrize("points", [0, 2.5, True, {"lr": 0}])
def test_wrong_points_are_refused(points):
    with pytest.raises(ArgumentError, match=r"`points.* must be an integer of at least 1"):
        GridSearch(points)
