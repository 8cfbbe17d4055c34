import numpy as np
import pytest

from lightning_tune.core.encode import Encoding
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search.gp.belief import believe
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.start import candidates, num_starts


def design(
    layout: Layout, num: int, first: np.ndarray | None = None, seed: int = 0, belief=None
) -> np.ndarray:
    points = np.empty((0, layout.axes)) if first is None else first
    for number in range(num):
        rng = np.random.default_rng([seed, number])
        points = np.concatenate([points, candidates(layout, points, num, rng, belief)[:1]])
    return points


def test_it_is_a_latin_hypercube():
    layout = Layout(Encoding(Space({name: Float(0, 1) for name in "abcd"})))
    points = design(layout, 10)
    for axis in range(4):
        assert np.histogram(points[:, axis], bins=10, range=(0, 1))[0].tolist() == [1] * 10


def test_the_first_is_the_middle_of_the_space():
    layout = Layout(Encoding(Space({"a": Float(0, 1), "n": Int(1, 3), "c": Choice(["x", "y", "z"])})))
    options = set()
    for seed in range(20):
        point = design(layout, 1, seed=seed)[0]
        assert point[:2].tolist() == [0.5, 0.5]
        options.add(round(float(point[2]), 6))
    assert len(options) == 3


def test_options_are_used_equally_often():
    layout = Layout(Encoding(Space({"c": Choice(["x", "y", "z"]), "n": Int(1, 2), "a": Float(0, 1)})))
    points = design(layout, 6)
    assert [int((np.abs(points[:, 0] - place) < 0.01).sum()) for place in (1 / 6, 0.5, 5 / 6)] == [2, 2, 2]


def test_it_stays_away_from_what_was_tried():
    """Points spread better than random ones, a baseline among them."""
    layout = Layout(Encoding(Space({name: Float(0, 1) for name in "ab"})))

    def smallest(points):
        apart = np.linalg.norm(points[:, None] - points[None], axis=2)
        return apart[np.triu_indices(len(points), 1)].min()

    spread = [smallest(design(layout, 7, np.array([[0.5, 0.5]]), seed)) for seed in range(10)]
    random = [smallest(np.random.default_rng(seed).random((8, 2))) for seed in range(10)]
    assert np.median(spread) > 2 * np.median(random)


def test_every_other_place_is_drawn_from_a_belief():
    layout = Layout(Encoding(Space({"a": Float(0, 1), "b": Float(0, 1)})))
    points = design(layout, 8, belief=believe(layout, {"a": (0.8, 0.02)}))
    assert np.abs(points[::2, 0] - 0.8).max() < 0.1
    assert np.ptp(points[1::2, 0]) > 0.3


@pytest.mark.parametrize(("axes", "number"), [(1, 5), (6, 10), (10, 12), (100, 12)])
def test_the_number_of_starts_grows_slowly(axes: int, number: int):
    assert num_starts(axes) == number
