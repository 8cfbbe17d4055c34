import math

import pytest

from lightning_tune.core.space import Float
from lightning_tune.schedule.ranking import by_pareto, by_score, verdict
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


def test_several_objectives_are_ranked_among_those_that_are_compared():
    """Who is left out of a comparison changes the order of the others."""
    values = {0.0: (1.0, 4.0), 0.25: (3.0, 3.0), 0.5: (2.0, 2.0), 0.75: (4.0, 1.0), 1.0: (0.0, math.nan)}
    history = run_function(
        {"x": Float(0.0, 1.0)},
        GridSearch(5),
        lambda config, step: values[config["x"]],
        max_trials=5,
        mode=["min", "min"],
    )
    found = {history.group(number).config["x"]: number for number in range(5)}
    a, b, c, d = (found[x] for x in (0.0, 0.25, 0.5, 0.75))
    assert by_score(history, 1.0, history.groups) == [*sorted([a, d]), c, b]
    without = [group for group in history.groups if group.number != c]
    assert by_pareto(history, 1.0, without) == [*sorted([a, d]), b]
    assert by_pareto(history, 1.0, []) == []


def test_with_one_objective_domination_is_the_order_of_scores():
    history = run_function(
        {"x": Float(0.0, 1.0)}, GridSearch(5), lambda config, step: abs(config["x"] - 0.5), max_trials=5
    )
    assert by_pareto(history, 1.0, history.groups) == by_score(history, 1.0, history.groups)


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
