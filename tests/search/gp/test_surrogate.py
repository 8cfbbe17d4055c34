import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from lightning_tune.search.gp.surrogate import JITTER, TREND, Hyper, Surrogate, lengths_prior

OWNER = np.array([0, 1, 1, 2])
HYPER = Hyper(lengths=np.array([0.4, 0.9, 2.0]), signal=1.3, noise=0.01)
either_kernel = pytest.mark.parametrize("hyper", [HYPER, replace(HYPER, smooth=True)])


def covariance(hyper, left, right):
    """The kernel written out with scipy's distances: an independent computation."""
    r = cdist(left, right, w=hyper.lengths[OWNER] ** -2.0)
    q = math.sqrt(5) * r
    kernel = np.exp(-(r**2) / 2) if hyper.smooth else (1 + q + q**2 / 3) * np.exp(-q)
    return TREND + hyper.signal * kernel


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.random((30, 4)), rng.standard_normal((30, 2)), rng.random((9, 4))


def closed_form(hyper, rows, costs, asked):
    noisy = covariance(hyper, rows, rows) + (hyper.noise + JITTER * hyper.signal) * np.eye(len(rows))
    cross = covariance(hyper, asked, rows)
    known = cross @ np.linalg.solve(noisy, cross.T)
    return cross @ np.linalg.solve(noisy, costs), covariance(hyper, asked, asked) - known


@either_kernel
def test_mean_and_variance_equal_the_closed_form(data, hyper):
    rows, costs, asked = data
    surrogate = Surrogate.fit(rows, OWNER, costs, hyper)
    mean, variance = surrogate.posterior(asked)
    expected_mean, expected_covariance = closed_form(hyper, rows, costs, asked)
    np.testing.assert_allclose(mean, expected_mean, atol=1e-8)
    np.testing.assert_allclose(variance, np.diag(expected_covariance), atol=1e-8)
    np.testing.assert_allclose(surrogate.mean(asked), expected_mean, atol=1e-8)


@either_kernel
def test_the_joint_posterior_equals_the_closed_form(data, hyper):
    rows, costs, asked = data
    mean, joint = Surrogate.fit(rows, OWNER, costs, hyper).joint(asked)
    expected_mean, expected_covariance = closed_form(hyper, rows, costs, asked)
    np.testing.assert_allclose(mean, expected_mean, atol=1e-8)
    np.testing.assert_allclose(joint, expected_covariance, atol=1e-8)


@either_kernel
def test_slopes_equal_finite_differences(data, hyper):
    rows, costs, asked = data
    surrogate = Surrogate.fit(rows, OWNER, costs, hyper)
    mean, variance, mean_slope, variance_slope = surrogate.posterior_and_slopes(asked[0])
    whole_mean, whole_variance = surrogate.posterior(asked[:1])
    np.testing.assert_allclose(mean, whole_mean[0], atol=1e-10)
    assert variance == pytest.approx(whole_variance[0], abs=1e-10)
    for column in range(4):
        step = np.zeros(4)
        step[column] = 1e-6
        above, below = (surrogate.posterior((asked[0] + sign * step)[None, :]) for sign in (1, -1))
        np.testing.assert_allclose(mean_slope[column], (above[0] - below[0])[0] / 2e-6, atol=1e-6)
        assert variance_slope[column] == pytest.approx((above[1] - below[1])[0] / 2e-6, abs=1e-6)


def test_far_from_data_only_the_trend_is_known(data):
    rows, costs, _ = data
    mean, variance = Surrogate.fit(rows, OWNER, costs, HYPER).posterior(np.full((1, 4), 1e3))
    assert HYPER.signal < variance[0] < HYPER.signal + TREND
    assert abs(mean[0] - costs.mean(axis=0)).max() < 1.0


def test_equal_rows_without_noise_have_a_posterior():
    rows = np.tile(np.array([[0.2, 0.3, 0.4, 0.5]]), (6, 1))
    hyper = Hyper(lengths=HYPER.lengths, signal=1.0, noise=0.0)
    mean, variance = Surrogate.fit(rows, OWNER, np.ones((6, 1)), hyper).posterior(rows[:1])
    assert mean[0, 0] == pytest.approx(1.0, abs=1e-6)
    assert 0.0 < variance[0] < 1e-6


def test_length_scales_are_expected_to_grow_with_the_dimension():
    """The centre of the log-normal prior grows with the square root of the number of axes."""
    (low, scale), (high, same) = lengths_prior(4), lengths_prior(400)
    assert math.exp(high - low) == pytest.approx(10.0)
    assert scale == same
