"""`Float` and `Int`: construction, checking, the unit interval, grids."""

import math
import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, example, given

from lightning_tune.core.dimensions import Float, Int
from lightning_tune.errors import SpaceError

REALS = st.floats(-1e150, 1e150, allow_subnormal=False)
UNITS = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 5e-324, math.nextafter(1, 0), 0.5]))


def _float(low, high, log=False):
    low, high = sorted((low, high))
    if log:
        low, high = sorted((abs(low) + 1e-150, abs(high) + 1e-150))
    assume(low < high)
    return Float(low, high, log=log)


# -- Float


def test_float_bounds_become_floats_and_equality_is_by_value():
    dimension = Float(0, 1)
    assert isinstance(dimension.low, float)
    assert dimension == Float(0.0, 1.0)
    assert hash(dimension) == hash(Float(0.0, 1.0))
    assert dimension != Float(0, 1, step=0.5)
    assert dimension != Int(0, 1)
    assert pickle.loads(pickle.dumps(Float(0, 1, step=0.1))).from_unit(1) == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"low": 1, "high": 1}, "use a constant"),
        ({"low": 0, "high": 1, "log": True}, "`low` must be positive"),
        ({"low": -1e308, "high": 1e308}, "too wide"),
        ({"low": 1e-308, "high": 1e308, "log": True}, "too wide"),
        ({"low": 0, "high": 1, "step": 2}, "`step` must be at most"),
        ({"low": 1, "high": 2, "step": 0.1, "log": True}, "cannot go with"),
        ({"low": 1e16, "high": 1e16 + 100, "step": 0.5}, "spacing of floats"),
        ({"low": 0, "high": 1, "step": 1e-300}, "spacing of floats"),
        ({"low": -1.9, "high": 1.9, "step": 2.3e-16}, "at most 2\\*\\*53 values"),
        ({"low": 0, "high": 1, "step": True}, "of type bool"),
    ],
)
def test_a_bad_float_is_refused(arguments, words):
    low, high = arguments.pop("low"), arguments.pop("high")
    with pytest.raises(SpaceError, match=words.replace("(", r"\(")):
        Float(low, high, **arguments)


def test_repr_can_be_evaluated():
    for dimension in (
        Float(1e-5, 0.1, log=True),
        Float(0, 1, step=0.25),
        Int(1, 9),
        Int(1, 9, log=True),
        Int(0, 8, step=2),
    ):
        assert eval(repr(dimension)) == dimension


def test_steps_are_decimal():
    assert list(Float(0.1, 0.9, step=0.1).grid(99)) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert list(Float(0.1, 0.3, step=0.2).grid(99)) == [0.1, 0.3]
    assert list(Float(0, 1, step=0.3).grid(99)) == [0.0, 0.3, 0.6, 0.9]


def test_float_check():
    assert Float(0, 2).check(1, "x") == 1.0
    assert isinstance(Float(0, 2).check(1, "x"), float)
    assert Float(0, 1, step=0.1).check(0.1 + 0.2, "x") == 0.3
    for bad in (True, "1", None, np.float64(1), 10**400):
        with pytest.raises(SpaceError, match="`x` must be a number from 0.0 to 2.0, got"):
            Float(0, 2).check(bad, "x")
    for bad in (-5e-324, math.nextafter(2, 3), float("nan"), float("inf")):
        with pytest.raises(SpaceError, match="`x` must lie between 0.0 and 2.0"):
            Float(0, 2).check(bad, "x")
    with pytest.raises(SpaceError, match="got 0.25: the nearest are 0.2 and 0.3"):
        Float(0, 1, step=0.1).check(0.25, "x")
    with pytest.raises(SpaceError, match="got 0.99: the nearest is 0.9"):
        Float(0, 1, step=0.3).check(0.99, "x")


@given(REALS, REALS, UNITS, st.booleans())
@example(1e-300, 1e-5, 0.5, True)
def test_float_decoding_stays_within_the_bounds_and_is_monotone(low, high, unit, log):
    dimension = _float(low, high, log)
    value = dimension.from_unit(unit)
    assert dimension.low <= value <= dimension.high
    assert dimension.from_unit(0.0) == dimension.low
    assert dimension.from_unit(1.0) == dimension.high
    assert dimension.from_unit(unit / 2) <= value


@given(REALS, REALS, UNITS, st.booleans())
def test_float_round_trip(low, high, unit, log):
    dimension = _float(low, high, log)
    value = dimension.from_unit(unit)
    again = dimension.from_unit(dimension.to_unit(value))
    assert 0.0 <= dimension.to_unit(value) <= 1.0
    scale = abs(value) if log or low >= 0 else max(abs(dimension.low), abs(dimension.high))
    assert abs(again - value) <= 1e-12 * scale


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_float_log_is_the_closed_form(first, second):
    dimension = _float(first, second, log=False)
    assume(dimension.high / dimension.low < math.inf)
    dimension = Float(dimension.low, dimension.high, log=True)
    value = dimension.from_unit(0.25)
    closed = math.exp(0.75 * math.log(dimension.low) + 0.25 * math.log(dimension.high))
    assert value == pytest.approx(closed, rel=1e-11)


@given(st.integers(-1000, 1000), st.integers(1, 400), st.integers(1, 50), UNITS)
def test_float_steps_round_trip_exactly(low, width, step, unit):
    dimension = Float(low / 10, (low + width) / 10, step=min(step, width) / 10)
    value = dimension.from_unit(unit)
    assert dimension.from_unit(dimension.to_unit(value)) == value == dimension.check(value, "x")
    assert (round(value * 10) - low) % min(step, width) == 0
    assert value == round(value, 1)


@given(REALS, REALS, st.booleans(), st.integers(2, 30))
def test_float_grid_is_even_with_both_bounds(low, high, log, points):
    dimension = _float(low, high, log)
    values = list(dimension.grid(points))
    assert len(values) == points == dimension.grid_size(points)
    assert (values[0], values[-1]) == (dimension.low, dimension.high)
    space = np.geomspace if log else np.linspace
    scale = max(abs(dimension.low), abs(dimension.high))
    expected = space(dimension.low, dimension.high, points)
    assert np.allclose(values, expected, rtol=1e-10, atol=0 if log else 1e-14 * scale)


def test_float_grid_of_one_point_is_the_centre():
    assert list(Float(0, 1).grid(1)) == [0.5]
    assert list(Float(1e-4, 1e-2, log=True).grid(3)) == [1e-4, 1e-3, 1e-2]
    assert list(Float(0, 10, step=1).grid(3)) == [0.0, 5.0, 10.0]


# -- Int


@st.composite
def _ints(draw):
    if draw(st.booleans()):
        low = draw(st.integers(1, 2**40 - 1))
        high = draw(st.one_of(st.integers(low + 1, 2**40), st.integers(low + 1, min(low + 50, 2**40))))
        return Int(low, high, log=True)
    low = draw(st.integers(-(2**62), 2**62))
    width = draw(st.one_of(st.integers(1, 60), st.integers(1, 2**53 - 1)))
    step = draw(st.one_of(st.none(), st.integers(1, width)))
    return Int(low, low + width, step=step)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"low": 1, "high": 1}, "use a constant"),
        ({"low": 3, "high": 1}, "swap them"),
        ({"low": 1, "high": 2.0}, "write 2"),
        ({"low": False, "high": 2}, "of type bool"),
        ({"low": 0, "high": 8, "log": True}, "`low` must be positive"),
        ({"low": 1, "high": 2**41, "log": True}, "at most 2\\*\\*40"),
        ({"low": 0, "high": 2**62}, "at most 2\\*\\*53 values"),
        ({"low": 0, "high": 2**64}, "64 bits"),
        ({"low": 1, "high": 8, "log": True, "step": 2}, "cannot go with"),
        ({"low": 1, "high": 8, "step": 8}, "at most"),
        ({"low": 1, "high": 8, "step": 0}, "positive"),
        ({"low": 1, "high": 8, "step": 1.5}, "plain int"),
    ],
)
def test_a_bad_int_is_refused(arguments, words):
    low, high = arguments.pop("low"), arguments.pop("high")
    with pytest.raises(SpaceError, match=words):
        Int(low, high, **arguments)


def test_a_step_of_one_is_no_step():
    assert Int(1, 9, step=1) == Int(1, 9)
    assert Int(1, 9, step=1, log=True) == Int(1, 9, log=True)


def test_int_check():
    assert Int(0, 9).check(9, "n") == 9
    for bad, words in (
        (3.0, "write 3"),
        (3.5, "got 3.5"),
        (True, "got True"),
        ("3", "got '3'"),
        (np.int64(3), "got"),
    ):
        with pytest.raises(SpaceError, match="`n` must be an int from 0 to 9") as caught:
            Int(0, 9).check(bad, "n")
        assert words in str(caught.value)
    with pytest.raises(SpaceError, match="`n` must lie between 0 and 9, got 10"):
        Int(0, 9).check(10, "n")
    with pytest.raises(SpaceError, match="the nearest are 4 and 8"):
        Int(0, 9, step=4).check(5, "n")
    with pytest.raises(SpaceError, match="the nearest is 8"):
        Int(0, 9, step=4).check(9, "n")


@given(_ints(), UNITS)
@example(Int(0, 2**53 - 1), math.nextafter(1, 0))
@example(Int(2**62, 2**62 + 2**53 - 1), math.nextafter(1, 0))
@example(Int(1, 2**40, log=True), math.nextafter(1, 0))
def test_int_round_trip_is_exact_and_within_the_bounds(dimension, unit):
    value = dimension.from_unit(unit)
    assert dimension.check(value, "n") == value
    assert dimension.from_unit(dimension.to_unit(value)) == value
    assert 0.0 < dimension.to_unit(value) <= 1.0
    assert dimension.from_unit(0.0) == dimension.low


@given(_ints(), st.data())
def test_every_int_round_trips_not_only_the_decoded_ones(dimension, data):
    value = dimension.low + (dimension.step or 1) * data.draw(st.integers(0, dimension.num_values - 1))
    assert dimension.from_unit(dimension.to_unit(value)) == value


def test_an_int_has_its_share_of_the_logarithm():
    dimension = Int(2, 6, log=True)
    units = (np.arange(200_000) + 0.5) / 200_000
    counts = np.bincount([dimension.from_unit(unit) for unit in units.tolist()], minlength=7)[2:]
    edges = np.log(np.arange(2, 8) - 0.5)
    assert np.allclose(counts / len(units), np.diff(edges) / (edges[-1] - edges[0]), atol=2e-5)


@given(_ints(), st.integers(1, 30))
def test_int_grid_has_that_many_different_values_with_both_ends(dimension, points):
    values = list(dimension.grid(points))
    assert len(values) == min(points, dimension.num_values) == dimension.grid_size(points)
    assert all(b > a for a, b in zip(values, values[1:], strict=False))
    assert all(dimension.check(value, "n") == value for value in values)
    if len(values) > 1:
        assert values[0] == dimension.low
        assert values[-1] == dimension.low + (dimension.num_values - 1) * (dimension.step or 1)


def test_int_grid_in_the_logarithm():
    assert list(Int(16, 256, log=True).grid(5)) == [16, 32, 64, 128, 256]
    assert list(Int(1, 100, log=True).grid(8)) == [1, 2, 4, 7, 14, 27, 52, 100]
    assert list(Int(1, 9, log=True).grid(8)) == [1, 2, 3, 4, 5, 6, 7, 9]
    assert list(Int(0, 100).grid(1)) == [50]
