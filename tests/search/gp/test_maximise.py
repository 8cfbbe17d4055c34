import math

import numpy as np
import pytest

from lightning_tune.core.encode import Encoding
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.maximise import Maximiser, quasi_random

MIXED = Layout(
    Encoding(
        Space(
            {
                "a": Float(0, 1),
                "n": Int(0, 40),
                "c": Choice({"x": {"b": Float(0, 1)}, "y": {}, "z": {}}),
                "d": Choice(["p", "q"]),
            }
        )
    )
)


class Hill:
    """An acquisition with one known top among the configurations: a 0.237, n 31, c x, b 0.9, d q."""

    wanted = {"a": 0.237, "n": 31, "c": "x", "b": 0.9, "d": "q"}

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.top = layout.encoding.encode(self.wanted)

    def __call__(self, points):
        apart = (points - self.top) ** 2
        apart[:, self.layout.unordered] = apart[:, self.layout.unordered] > 1e-9
        return -np.where(np.isnan(apart), 0.0, apart).sum(axis=1)

    def with_slope(self, point):
        slope = np.where(np.isnan(point) | self.layout.unordered, 0.0, -2 * (point - self.top))
        return float(self(point[None, :])[0]), slope


def maximise(admissible=lambda point: True, seed: int = 0, held=None):
    maximiser = Maximiser(
        layout=MIXED,
        acquisition=Hill(MIXED),
        admissible=admissible,
        rng=np.random.default_rng(seed),
        held=held,
    )  # type: ignore[arg-type]  # it quacks
    return maximiser.best(MIXED.settle(np.full((2, MIXED.axes), 0.5)))


@pytest.mark.parametrize("seed", range(3))
def test_the_top_is_found_over_numbers_options_and_branches(seed: int):
    config = MIXED.encoding.decode(maximise(seed=seed))
    assert config["a"] == pytest.approx(0.237, abs=1e-3)
    assert config["b"] == pytest.approx(0.9, abs=1e-3)
    assert (config["n"], config["c"], config["d"]) == (31, "x", "q")


def test_what_is_not_admissible_is_not_answered():
    """Neither by a climb that starts outside of it."""
    point = maximise(lambda point: MIXED.encoding.decode(point)["a"] > 0.6)
    assert MIXED.encoding.decode(point)["a"] == pytest.approx(0.6, abs=0.03)
    point = maximise(lambda point: MIXED.encoding.decode(point)["n"] != 31)
    assert MIXED.encoding.decode(point)["n"] in (30, 32)


def test_none_where_nothing_is_admissible():
    assert maximise(lambda point: False) is None


def test_an_axis_that_is_held_stays():
    axis = MIXED.encoding.names.index("c")
    config = MIXED.encoding.decode(maximise(held=(axis, 0.5)))
    assert config["c"] == "y"
    assert "b" not in config
    assert (config["n"], config["d"]) == (31, "q")


def test_the_same_generator_gives_the_same_point():
    first, second = maximise(seed=3), maximise(seed=3)
    np.testing.assert_array_equal(first, second)


def test_quasi_random_points_are_even():
    points = quasi_random(64, 3, np.random.default_rng(0))
    for axis in range(3):
        counts, _ = np.histogram(points[:, axis], bins=64, range=(0, 1))
        assert counts.max() == 1
    assert math.isclose(points.mean(), 0.5, abs_tol=0.02)
