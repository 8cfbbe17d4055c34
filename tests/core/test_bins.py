"""Equal bins of [0, 1], against exact fractions."""

from fractions import Fraction

import hypothesis.strategies as st
from hypothesis import example, given

from lightning_tune.core.bins import bin_centre, bin_index, spread


@st.composite
def _bins(draw):
    number = draw(st.one_of(st.integers(1, 50), st.integers(1, 2**53)))
    return draw(st.integers(0, number - 1)), number


@given(_bins())
@example((2**53 - 1, 2**53))
@example((2**52 + 1, 2**53))
@example((2**52, 2**53 - 1))
def test_the_centre_lies_in_its_bin_and_near_its_middle(bin_of):
    index, number = bin_of
    unit = bin_centre(index, number)
    assert bin_index(unit, number) == index
    assert abs(Fraction(unit) - Fraction(2 * index + 1, 2 * number)) <= Fraction(1, 2 * number) + Fraction(
        1, 2**53
    )


def test_bins_cover_the_interval_with_its_ends():
    assert [bin_index(unit, 4) for unit in (0.0, 0.2499, 0.25, 0.5, 0.75, 0.9999, 1.0)] == [
        0,
        0,
        1,
        2,
        3,
        3,
        3,
    ]


@given(st.integers(1, 2**53), st.integers(1, 40))
def test_spread_is_even_ascending_and_has_both_ends(number, points):
    indices = list(spread(number, points)) if number <= 40 or points < number else []
    if not indices:
        return
    assert len(indices) == min(number, points)
    assert all(b > a for a, b in zip(indices, indices[1:], strict=False))
    if len(indices) > 1:
        assert (indices[0], indices[-1]) == (0, number - 1)
        gaps = [b - a for a, b in zip(indices, indices[1:], strict=False)]
        assert max(gaps) - min(gaps) <= 1
    else:
        assert indices == [number // 2]
