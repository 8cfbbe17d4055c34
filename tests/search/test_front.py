import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightning_tune.core.pareto import crowding, fronts
from lightning_tune.search.front import MOST, best_first, chebyshev, places, scaled, thinned

POINTS = st.integers(1, 3).flatmap(
    lambda size: st.integers(1, 20).flatmap(
        lambda count: arrays(
            np.float64,
            (count, size),
            elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, float("inf"), float("nan")]),
        )
    )
)


@given(POINTS, st.integers(1, 25))
def test_the_best_come_front_by_front_and_never_without_a_cost(costs, number: int):
    best = best_first(costs, number)
    finite = np.isfinite(costs).all(axis=1)
    assert len(best) == min(number, finite.sum())
    assert len(set(best.tolist())) == len(best)
    assert finite[best].all()
    ranks = fronts(costs)
    assert ranks[best].tolist() == sorted(ranks[finite])[: len(best)]


def test_a_front_that_is_too_large_is_cut_where_it_is_crowded_one_at_a_time():
    """Two twins are not both left out."""
    at = np.array([0.0, 1.0, 1.01, 2.0, 3.0, 3.01, 4.0])
    front = np.stack([at, -at], axis=1)
    kept = at[thinned(front, 5)]
    np.testing.assert_allclose(kept, [0.0, 1.0, 2.0, 3.0, 4.0], atol=0.011)
    assert sorted(at[best_first(front, 5)]) == kept.tolist()


def test_within_a_front_the_ends_come_first_and_the_lonely_before_the_crowded():
    costs = np.array([[0.0, 4.0], [0.5, 3.0], [1.0, 2.5], [3.0, 1.0], [4.0, 0.0], [4.0, 4.0]])
    best = best_first(costs, 6)
    assert set(best[:2].tolist()) == {0, 4}
    distances = crowding(costs[:5])[best[:5]]
    assert distances.tolist() == sorted(distances, reverse=True)
    assert best[5] == 5


@given(POINTS)
def test_places_order_as_the_best_do(costs):
    found = places(costs)
    best = best_first(costs, MOST)
    assert np.argsort(found, kind="stable")[: len(best)].tolist() == best.tolist()
    assert (np.isfinite(found) == np.isfinite(costs).all(axis=1)).all()


def test_beyond_the_best_all_share_a_place():
    costs = np.stack([np.arange(100.0), np.arange(100.0)], axis=1)
    found = places(costs)
    assert found[:MOST].tolist() == list(range(MOST))
    assert set(found[MOST:]) == {MOST}


def test_scaled_costs_have_the_front_from_0_to_1():
    costs = np.array([[10.0, 5.0], [20.0, 1.0], [30.0, 9.0], [np.inf, np.inf]])
    np.testing.assert_allclose(scaled(costs)[:3], [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    single = np.array([[1.0, 1.0], [3.0, 5.0]])
    np.testing.assert_allclose(scaled(single), [[0.0, 0.0], [1.0, 1.0]])


def test_points_of_a_hollow_front_are_the_best_under_some_weights():
    angle = np.linspace(0.0, np.pi / 2, 9)
    front = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # no weighted sum has a middle one as its best
    found = {
        int(np.argmin(chebyshev(front, np.array([share, 1.0 - share])))) for share in np.linspace(0, 1, 401)
    }
    assert {0, 2, 3, 4, 5, 6, 8} <= found


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_cannot_be_compared_has_no_cost(bad: float):
    assert chebyshev(np.array([[bad, 0.0]]), np.array([0.0, 1.0])).tolist() == [np.inf]
