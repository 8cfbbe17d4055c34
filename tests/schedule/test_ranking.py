import math

import pytest

from lightning_tune.core.space import Float
from lightning_tune.schedule.ranking import by_score, verdict
from lightning_tune.search import GridSearch
from lightning_tune.testing.functions import run_function


@pytest.mark.parametrize(("mode", "expected"), [("min", [0, 2, 1]), ("max", [1, 0, 2])])
def test_best_first_ties_to_the_lower_number_and_nobody_without_a_score(mode, expected):
    values = {0.0: 1.0, 0.25: 2.0, 0.5: 1.0, 0.75: math.nan, 1.0: None}

    def curve(config, step):
        if values[config["x"]] is None:
            raise MemoryError
        return values[config["x"]]

    history = run_function({"x": Float(0.0, 1.0)}, GridSearch(5), curve, max_trials=5, mode=mode)
    assert by_score(history, 1.0, history.groups) == expected


@pytest.mark.parametrize(
    ("place", "size", "top", "words"),
    [
        (0, 3, 1, "rung: 1st of 3, the best goes on"),
        (4, 9, 3, "rung: 5th of 9, the top 3 go on"),
        (-1, 9, 3, "rung: no score, the top 3 go on"),
        (11, 30, 10, "rung: 12th of 30, the top 10 go on"),
        (0, 2, 0, "rung: 1st of 2, none goes on"),
    ],
)
def test_decisions_in_words(place, size, top, words):
    assert verdict("rung", place, size, top) == words
