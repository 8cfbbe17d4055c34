import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.schedule.rungs import (
    Bracket,
    halving_bracket,
    hyperband_brackets,
    interleaved,
    levels_of,
    promoted,
    sizes_of,
)

ETAS = st.sampled_from([2, 3, 4, 2.5])

TABLE_1 = {  # Li et al. 2018, table 1: (n_i, r_i) of each bracket s, for R = 81 and eta = 3
    4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    3: [(27, 3), (9, 9), (3, 27), (1, 81)],
    2: [(9, 9), (3, 27), (1, 81)],
    1: [(6, 27), (2, 81)],
    0: [(5, 81)],
}


def test_hyperband_is_table_1_of_the_paper():
    brackets = hyperband_brackets(1, 81, 3, whole=True)
    told = [list(zip(bracket.sizes, bracket.levels, strict=True)) for bracket in brackets]
    assert told == [TABLE_1[s] for s in (4, 3, 2, 1, 0)]


def test_halving_of_sixteen_as_first_taught():
    bracket = halving_bracket(16, 25, 1000, 2, whole=True)
    assert bracket == Bracket((16, 8, 4, 2, 1), (25, 50, 100, 200, 400))
    assert bracket.spent(resumes=True) == 16 * 25 + 8 * 25 + 4 * 50 + 2 * 100 + 200
    assert bracket.spent(resumes=False) == 16 * 25 + 8 * 50 + 4 * 100 + 2 * 200 + 400


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 500), ETAS)
def test_a_bracket_falls_in_size_rises_in_budget_and_keeps_to_its_cap(size, low, more, eta):
    high = low + more
    bracket = halving_bracket(size, low, high, eta, whole=True)
    assert len(bracket.sizes) == len(bracket.levels)
    assert bracket.size == size
    assert all(after == max(1, math.floor(before / eta)) for before, after in pairwise(bracket.sizes))
    assert all(before < after for before, after in pairwise(bracket.levels))
    assert bracket.levels[0] == low
    assert bracket.levels[-1] <= high
    assert bracket.sizes[-1] == 1 or bracket.levels[-1] == high
    assert all(level == int(level) for level in bracket.levels)


@given(st.integers(1, 1000), ETAS, st.booleans())
def test_hyperband_ends_every_bracket_at_the_whole_budget(high, eta, whole):
    brackets = hyperband_brackets(1, high, eta, whole=whole)
    rungs = math.floor(math.log(high, eta) + 1e-9)
    assert len(brackets) == rungs + 1
    assert all(bracket.levels[-1] == high for bracket in brackets)
    assert all(level >= 1 - 1e-9 for bracket in brackets for level in bracket.levels)
    assert brackets[0].size == math.ceil(eta**rungs - 1e-9)


@given(st.floats(0.01, 10), st.floats(1, 100), ETAS)
def test_levels_rise_by_eta_up_to_the_highest(low, factor, eta):
    levels = levels_of(low, low * factor, eta, whole=False)
    assert levels[0] == low or (len(levels) == 1 and factor < 1 + 1e-8)
    assert levels[-1] == low * factor
    assert all(after / before == pytest.approx(eta) for before, after in pairwise(levels[:-1]))


@given(st.integers(0, 10_000), st.integers(2, 10))
def test_the_floor_of_a_fraction_is_exact(size, eta):
    assert promoted(size, eta) == size // eta


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_a_cycle_holds_each_place_as_often_as_it_weighs_evenly(weights):
    cycle = interleaved(weights)
    total = sum(weights)
    assert [cycle.count(place) for place in range(len(weights))] == weights
    for length in range(total + 1):
        for place, weight in enumerate(weights):
            assert abs(cycle[:length].count(place) - length * weight / total) < len(weights)


def test_a_smaller_bracket_keeps_one_to_the_end():
    assert sizes_of(2, 4, 3) == (2, 1, 1, 1)
    assert Bracket((9, 3, 1), (1, 3, 9)).of(4, 3) == Bracket((4, 1, 1), (1, 3, 9))
