import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from lightning_tune.curves import extrapolate
from lightning_tune.curves.prediction import Prediction
from lightning_tune.errors import ArgumentError


def prediction(bounds=(-math.inf, math.inf), rises=True) -> Prediction:
    """Two curves: a narrow mixture and a skew one."""
    return Prediction(
        centre=np.array([0.8, 0.3]),
        unit=np.array([0.01, 0.2]),
        weights=np.array([[0.7, 0.3], [0.5, 0.5]]),
        places=np.array([[0.5, 1.5], [-1.0, 1.0]]),
        scales=np.array([[0.1, 0.3], [0.05, 0.4]]),
        bounds=bounds,
        rises=rises,
    )


def density(found: Prediction, place: int):
    def of(value: float) -> float:
        return float(np.exp(found.log_prob(np.full(2, value)))[place])

    return of


@pytest.mark.parametrize("bounds", [(-math.inf, math.inf), (0.0, 1.0), (0.2, math.inf), (-math.inf, 0.805)])
@pytest.mark.parametrize("place", [0, 1])
def test_moments_and_probabilities_are_integrals_of_the_density(bounds, place: int):
    found = prediction(bounds)
    of, unit = density(found, place), found.unit[place]
    low, high = (
        min(max(bound, found.centre[place] - 1e4 * unit), found.centre[place] + 1e4 * unit)
        for bound in bounds
    )
    corners = [found.centre[place] + unit * math.sinh(v / 2) for v in range(-18, 19)]
    points = [low, *(corner for corner in corners if low < corner < high), high]

    def integral(function) -> float:
        return sum(quad(function, *ends, limit=200)[0] for ends in zip(points, points[1:], strict=False))

    mean = integral(lambda y: y * of(y))
    assert integral(of) == pytest.approx(1.0, abs=1e-6)
    assert found.mean[place] == pytest.approx(mean, abs=1e-4 * unit)
    variance = integral(lambda y: (y - mean) ** 2 * of(y))
    assert found.std[place] == pytest.approx(math.sqrt(variance), rel=0.02)
    middle = found.quantile(0.6)
    points = [*(point for point in points if point < middle[place]), middle[place]]
    assert integral(of) == pytest.approx(0.6, abs=1e-6)


@settings(max_examples=50)
@given(
    q=st.floats(0.0001, 0.9999), low=st.sampled_from([-math.inf, 0.0]), high=st.sampled_from([1.0, math.inf])
)
def test_quantiles_and_probabilities_are_inverse(q: float, low: float, high: float):
    found = prediction((low, high))
    values = found.quantile(q)
    np.testing.assert_allclose(found.cdf(values), q, atol=1e-9)
    assert ((values >= low) & (values <= high)).all()


def test_better_is_higher_or_lower():
    up, down = prediction(rises=True), prediction(rises=False)
    assert up.prob_better(0.81) + down.prob_better(0.81) == pytest.approx([1.0, 1.0])
    assert up.prob_better(0.5)[0] > 0.99
    np.testing.assert_array_equal(prediction((0, 1)).prob_better([1.0, 1.5]), [0.0, 0.0])


def test_nothing_lies_out_of_bounds():
    found = prediction((0.0, 0.82))
    assert np.isneginf(found.log_prob([0.83, -0.1])).all()
    assert found.quantile(1.0).max() <= 0.82
    assert (found.mean <= 0.82).all()


def test_a_distribution_far_out_of_its_bounds_is_still_one():
    """The last report is at the bound, the network sees it go on."""
    found = prediction((0.0, 0.8001))
    assert np.isfinite(found.mean).all()
    assert (np.diff([found.quantile(q)[0] for q in (0.1, 0.5, 0.9)]) >= 0).all()


def test_values_beyond_all_measure_have_a_density():
    assert np.isfinite(prediction().log_prob([1e30, -1e300])).all()


def test_several_quantiles_are_found_at_once():
    found = prediction()
    levels = [0.0, 0.05, 0.5, 1.0]
    expected = np.stack([found.quantile(level) for level in levels], axis=-1)
    np.testing.assert_array_equal(found.quantile(levels), expected)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan, "half", True, [0.5, 2.0], [[0.5]]])
def test_a_probability_is_one(q):
    with pytest.raises(ArgumentError, match="`q` must be a probability from 0 to 1, or a list of them, got"):
        prediction().quantile(q)


@pytest.mark.parametrize("values", ["a", [1.0, 2.0, 3.0], math.nan, None])
def test_values_are_numbers_of_its_shape(values):
    for method in ("prob_better", "cdf", "log_prob"):
        with pytest.raises(ArgumentError, match="`(target|values)` must (be a number|not be NaN)"):
            getattr(prediction(), method)(values)


def test_it_is_shown_in_short():
    shown = repr(prediction())
    assert shown.startswith("<Prediction (2,): median [")
    assert len(shown) < 200


@pytest.mark.parametrize("place", [2, -3])
def test_a_step_is_one_of_those_that_were_asked_about(place: int):
    found = extrapolate([[0.5, 0.4, 0.3]], at=[[5, 9]], mode="min")
    assert found.at(-1).quantile(0.5) == found.quantile(0.5)[:, 1]
    with pytest.raises(ArgumentError, match=f"`place` must be from -2 to 1, got {place}"):
        found.at(place)


def test_one_step_a_curve_leaves_nothing_to_choose():
    with pytest.raises(ArgumentError, match="`at` chooses among several steps"):
        extrapolate([[0.5, 0.4, 0.3]], at=5, mode="min").at(0)
