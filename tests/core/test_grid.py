"""The grid: the order of nested loops, every branch, by number and without listing."""

import itertools

import pytest

from lightning_tune.core import nodes
from lightning_tune.core.choice import Choice, checked_spec
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.core.grid import Grid, cardinality
from lightning_tune.errors import ArgumentError


def _grid(spec, points):
    return Grid(nodes.build(checked_spec(spec, "a space")), points)


def test_the_order_is_that_of_nested_loops():
    spec = {"a": Float(0, 1), "k": [1], "b": Choice(["x", "y"]), "c": Int(0, 10)}
    expected = [
        {"a": a, "k": [1], "b": b, "c": c}
        for a, b, c in itertools.product((0.0, 0.5, 1.0), ("x", "y"), (0, 5, 10))
    ]
    grid = _grid(spec, 3)
    assert list(grid) == expected
    assert grid.size == len(expected)
    assert [grid.at(index) for index in (17, 0, 5)] == [expected[17], expected[0], expected[5]]


def test_branches_run_below_their_option():
    spec = {
        "o": Choice({"s": {"m": Int(0, 1), "n": Choice({1: {"d": Int(5, 6)}, 2: {}})}, "a": {}}),
        "z": Int(0, 1),
    }
    pairs = [{"m": m, **n} for m in (0, 1) for n in ({"n": 1, "d": 5}, {"n": 1, "d": 6}, {"n": 2})]
    expected = [{"o": "s", **pair, "z": z} for pair in pairs for z in (0, 1)] + [
        {"o": "a", "z": z} for z in (0, 1)
    ]
    grid = _grid(spec, 5)
    assert list(grid) == expected
    assert grid.size == 14


def test_points_by_key_and_five_for_the_others():
    spec = {"a": Float(0, 1), "b": Float(0, 1), "c": Int(0, 1)}
    assert _grid(spec, {"a": 2}).size == 2 * 5 * 2
    assert _grid(spec, {"a": 1, "b": 1, "c": 1}).at(0) == {"a": 0.5, "b": 0.5, "c": 1}


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (0, "`points` must be an integer of at least 1, got 0"),
        (True, "got True"),
        (2.0, "got 2.0"),
        ({"a": 0}, r"`points\['a'\]` must be an integer of at least 1, got 0"),
        ({"aa": 3}, "names 'aa'.*Did you mean `a`"),
        ({"c": 3}, "names 'c', which is no Float or Int"),
    ],
)
def test_bad_points_are_refused(points, words):
    with pytest.raises(ArgumentError, match=words):
        _grid({"a": Float(0, 1), "c": Choice([1, 2])}, points)


def test_a_huge_grid_is_counted_and_begun_at_once():
    grid = _grid({f"k{i}": Int(0, 10**9) for i in range(20)}, 10**4)
    assert grid.size == 10**80
    assert next(iter(grid)) == {f"k{i}": 0 for i in range(20)}
    assert grid.at(10**80 - 1) == {f"k{i}": 10**9 for i in range(20)}


@pytest.mark.parametrize(
    ("spec", "number"),
    [
        ({"k": 1}, 1),
        ({"a": Int(1, 4, log=True), "b": Choice([1, 2, 3])}, 12),
        ({"a": Float(0, 1, step=0.25)}, 5),
        ({"a": Float(0, 1)}, None),
        ({"o": Choice({"s": {"m": Int(0, 3), "n": Int(0, 1)}, "a": {}})}, 9),
        ({"o": Choice({"s": {"m": Float(0, 3)}, "a": {}}), "b": Int(0, 1)}, None),
    ],
)
def test_cardinality(spec, number):
    assert cardinality(nodes.build(checked_spec(spec, "a space"))) == number
    if number is not None:
        assert _grid(spec, 100).size == number
