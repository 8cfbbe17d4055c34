import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightning_tune.core.pareto import hypervolume
from lightning_tune.search.gp.boxes import undominated


def volume(lower, upper, floor: float) -> float:
    return float(np.prod(upper - np.maximum(lower, floor), axis=1).sum())


@given(
    st.integers(1, 4).flatmap(
        lambda size: st.integers(0, 9).flatmap(
            lambda count: arrays(np.float64, (count, size), elements=st.integers(0, 5).map(float))
        )
    )
)
def test_boxes_are_what_is_not_dominated_each_place_once(points):
    """Ties, doubles, dominated points and points beyond the reference included."""
    reference = np.full(points.shape[1], 4.5)
    lower, upper = undominated(points, reference)
    places = np.random.default_rng(0).uniform(-1.0, 5.0, (300, points.shape[1]))
    inside = ((lower < places[:, None]) & (places[:, None] <= upper)).all(axis=2).sum(axis=1)
    dominated = (points <= places[:, None]).all(axis=2).any(axis=1) if len(points) else np.zeros(300, bool)
    assert inside.tolist() == ((places < reference).all(axis=1) & ~dominated).tolist()


@pytest.mark.parametrize(("objectives", "count"), [(2, 40), (3, 25), (4, 8)])
def test_boxes_and_the_dominated_volume_fill_the_space(objectives: int, count: int):
    points = np.random.default_rng(1).random((count, objectives))
    reference = np.full(objectives, 1.0)
    whole = 3.0**objectives
    assert volume(*undominated(points, reference), -2.0) == pytest.approx(
        whole - hypervolume(points, reference)
    )


@pytest.mark.parametrize(("objectives", "expected"), [(2, 31), (3, 61)])
def test_there_are_few(objectives: int, expected: int):
    """One more than points in two objectives, two a point in three."""
    points = np.abs(np.random.default_rng(2).standard_normal((30, objectives)))
    front = 1.0 - points / np.linalg.norm(points, axis=1, keepdims=True)
    assert len(undominated(front, np.full(objectives, 1.1))[0]) == expected
