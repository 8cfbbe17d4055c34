import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lightning_tune.core.pareto import (
    crowding,
    dominators,
    fronts,
    hypervolume,
    nearest_ideal,
    non_dominated,
    pareto_order,
)

VALUES = st.sampled_from([0.0, 1.0, 2.0, 2.5, -3.0, math.inf, math.nan])
POINTS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[VALUES] * width), min_size=1, max_size=25)
)
GRID = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[st.integers(0, 4)] * width), min_size=1, max_size=12)
)


def dominates(first, second):
    return all(a <= b for a, b in zip(first, second, strict=True)) and first != second


def peeled(points):
    """Ranks by the definition: take the front away again and again."""
    left = {index for index, point in enumerate(points) if all(map(math.isfinite, point))}
    ranks = {}
    while left:
        front = {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        ranks.update(dict.fromkeys(front, max(ranks.values(), default=-1) + 1))
        left -= front
    last = max(ranks.values(), default=-1) + 1
    return [ranks.get(index, last) for index in range(len(points))]


@given(POINTS)
@example([(1.0, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_the_ranks_are_those_of_fronts_taken_away_one_after_another(points):
    assert fronts(points).tolist() == peeled(points)


@given(POINTS)
def test_the_front_is_what_nothing_dominates(points):
    finite = [all(map(math.isfinite, point)) for point in points]
    expected = [
        here
        and not any(there and dominates(other, point) for other, there in zip(points, finite, strict=True))
        for point, here in zip(points, finite, strict=True)
    ]
    assert non_dominated(points).tolist() == expected


@given(POINTS)
def test_those_that_dominate_are_counted(points):
    finite = [point for point in points if all(map(math.isfinite, point))]
    wanted = [sum(dominates(other, point) for other in finite) for point in points]
    here = [index for index, point in enumerate(points) if point in finite]
    assert [dominators(points)[index] for index in here] == [wanted[index] for index in here]
    assert (
        dominators(points[:3], points).tolist()[: len(here)] == dominators(points).tolist()[:3][: len(here)]
    )


def test_the_best_compromise_is_nearest_to_the_ideal_in_units_of_the_fronts_range():
    assert nearest_ideal([(0.0, 1000.0), (5.0, 400.0), (10.0, 0.0)]) == 1  # at (0.5, 0.4) of the ranges
    assert nearest_ideal([(0.0, 1000.0), (9.0, 400.0), (10.0, 0.0), (9.0, 401.0)]) == 1
    assert nearest_ideal([(0.0, 1.0), (1.0, 0.0)]) == 0  # both are at 1: the lower index
    assert nearest_ideal([(3.0, 7.0), (3.0, 7.0), (4.0, 8.0)]) == 0
    assert nearest_ideal([(math.nan, 0.0), (2.0,) * 2]) == 1
    assert nearest_ideal([(2.0,), (1.0,), (1.0,)]) == 1
    assert nearest_ideal([(math.inf, 0.0)]) is None
    assert nearest_ideal([]) is None


def test_a_front_can_be_long_or_every_point_a_front_of_its_own():
    line = np.linspace(0, 1, 300)
    for width in (2, 3):
        chain = np.stack([line] * width, axis=1)
        assert fronts(chain).tolist() == list(range(300))
        chain[:, 0] = 1 - line
        assert fronts(chain).tolist() == [0] * 300
        assert non_dominated(chain).all()


def test_two_thousand_pairs_take_milliseconds():
    points = np.random.default_rng(0).random((2000, 2))
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        pareto_order(points)
        best = min(best, time.perf_counter() - began)
    assert best < 0.02


def test_crowding_is_the_sum_of_gaps_between_neighbours_by_the_range():
    front = [(0.0, 10.0), (4.0, 5.0), (1.0, 8.0), (5.0, 0.0)]
    assert crowding(front).tolist() == [
        math.inf,
        pytest.approx((5 - 1) / 5 + (8 - 0) / 10),
        pytest.approx((4 - 0) / 5 + (10 - 5) / 10),
        math.inf,
    ]


def test_crowding_of_few_or_of_equal_points():
    assert crowding([(1.0, 2.0)]).tolist() == [math.inf]
    assert crowding([(1.0, 2.0), (2.0, 1.0)]).tolist() == [math.inf, math.inf]
    assert crowding([(1.0, 2.0)] * 3).tolist() == [0.0, 0.0, 0.0]


@given(POINTS)
def test_the_order_is_by_rank_then_by_crowding_then_by_index(points):
    order = pareto_order(points).tolist()
    ranks = fronts(points)
    assert sorted(order) == list(range(len(points)))
    assert [ranks[index] for index in order] == sorted(ranks)
    finite = np.isfinite(np.array(points)).all(axis=1)
    for rank in set(ranks[finite].tolist()):
        members = [index for index in range(len(points)) if ranks[index] == rank and finite[index]]
        distances = dict(zip(members, crowding([points[index] for index in members]), strict=True))
        expected = sorted(members, key=lambda index: (-distances[index], index))
        assert [index for index in order if index in distances] == expected


@given(POINTS)
def test_one_objective_is_plain_sorting(points):
    column = [(point[0],) for point in points]
    finite = [index for index, (value,) in enumerate(column) if math.isfinite(value)]
    ranks = fronts(column)
    assert [ranks[index] for index in finite] == [
        sorted({column[other] for other in finite}).index(column[index]) for index in finite
    ]


@given(GRID)
def test_the_hypervolume_is_the_number_of_dominated_cells(points):
    width = len(points[0])
    cells = sum(
        any(all(place <= cell for place, cell in zip(point, corner, strict=True)) for point in points)
        for corner in itertools.product(range(4), repeat=width)
    )
    assert hypervolume(points, [4] * width) == pytest.approx(cells)


@pytest.mark.parametrize(("width", "count"), [(2, 60), (3, 40), (4, 25), (5, 15)])
def test_the_hypervolume_equals_an_estimate_from_random_points(width, count):
    rng = np.random.default_rng(width)
    points = rng.random((count, width))
    draws = rng.random((40_000, width))
    share = (points[None] <= draws[:, None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(points, np.ones(width)) == pytest.approx(share, abs=0.01)


def test_what_is_not_better_than_the_reference_adds_nothing():
    assert hypervolume([(3.0, 0.0), (0.0, math.nan), (math.inf, 0.0)], (3.0, 3.0)) == 0.0
    assert hypervolume([(1.0, 2.0), (3.0, 0.0)], (3.0, 3.0)) == 2.0


@pytest.mark.parametrize("width", [1, 2, 3])
def test_nothing_at_all(width):
    nothing = np.empty((0, width))
    assert fronts(nothing).size == non_dominated(nothing).size == crowding(nothing).size == 0
    assert pareto_order(nothing).size == 0
    assert hypervolume(nothing, np.ones(width)) == 0.0
