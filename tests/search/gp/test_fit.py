import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal

from lightning_tune.search.gp import fit
from lightning_tune.search.gp.fit import Evidence, fit_hyper, round_number
from lightning_tune.search.gp.surrogate import JITTER, TREND, Hyper, lengths_prior

OWNER = np.array([0, 1, 1])


def drawn(num: int, lengths: list[float], noise_sd: float, seed: int = 0):
    """Return rows and costs drawn from a Gaussian process with known hyperparameters."""
    rng = np.random.default_rng(seed)
    rows = rng.random((num, len(lengths)))
    q = math.sqrt(5) * cdist(rows, rows, w=np.array(lengths) ** -2.0)
    covariance = (1 + q + q**2 / 3) * np.exp(-q)
    return rows, rng.multivariate_normal(np.zeros(num), covariance) + noise_sd * rng.standard_normal(num)


@pytest.mark.parametrize("noise", [None, 0.02])
@pytest.mark.parametrize("smooth", [False, True])
def test_the_gradient_equals_finite_differences(noise: float | None, smooth: bool):
    rng = np.random.default_rng(0)
    evidence = Evidence.of(rng.random((12, 3)), OWNER, rng.standard_normal(12), noise, smooth=smooth)
    theta = evidence.start() + 0.3 * rng.standard_normal(len(evidence.start()))
    _, gradient = evidence(theta)
    for index in range(len(theta)):
        step = np.zeros_like(theta)
        step[index] = 1e-6
        numeric = (evidence(theta + step)[0] - evidence(theta - step)[0]) / 2e-6
        assert gradient[index] == pytest.approx(numeric, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("smooth", [False, True])
def test_differences_of_the_value_equal_those_of_the_closed_form(smooth: bool):
    """The log density of scipy's multivariate normal and of the log-normal priors, up to a constant."""
    rng = np.random.default_rng(1)
    rows, costs = rng.random((10, 3)), rng.standard_normal(10)
    evidence = Evidence.of(rows, OWNER, costs, None, smooth=smooth)
    place, scale = lengths_prior(2)

    def closed_form(theta):
        hyper = evidence.hyper(theta)
        r = cdist(rows, rows, w=hyper.lengths[OWNER] ** -2.0)
        q = math.sqrt(5) * r
        kernel = np.exp(-(r**2) / 2) if smooth else (1 + q + q**2 / 3) * np.exp(-q)
        covariance = TREND + hyper.signal * kernel
        covariance += (hyper.noise + JITTER * hyper.signal) * np.eye(10)
        value = -multivariate_normal(np.zeros(10), covariance).logpdf(costs)
        value += sum(t + 0.5 * ((t - place) / scale) ** 2 for t in theta[:2])
        for t, (centre, width) in zip(theta[2:], (fit.SIGNAL_PRIOR, fit.NOISE_PRIOR), strict=True):
            value += 0.5 * ((t - centre) / width) ** 2
        return value

    first, second = evidence.start(), evidence.start() + np.array([0.5, -0.7, 0.2, 1.0])
    assert evidence(first)[0] - evidence(second)[0] == pytest.approx(
        closed_form(first) - closed_form(second), abs=1e-8
    )


def test_a_context_is_expected_to_resemble_the_others():
    """Without evidence its length is 2, that of an axis of the space as the dimension says."""
    plain, context = (Evidence.of(np.eye(3), OWNER, np.zeros(3), None, related) for related in (0, 1))
    assert context.hyper(context.start()).lengths[1] == pytest.approx(2.0)
    assert plain.hyper(plain.start()).lengths[1] < 0.5
    _, gradient = context(context.start())
    numeric = (context(context.start() + [0, 1e-6, 0, 0])[0] - context(context.start())[0]) / 1e-6
    assert gradient[1] == pytest.approx(numeric, abs=1e-4)


def test_parameters_and_hyperparameters_are_two_forms_of_one_thing():
    rng = np.random.default_rng(2)
    for noise in (None, 0.5):
        evidence = Evidence.of(rng.random((4, 3)), OWNER, rng.random(4), noise)
        theta = evidence.start() + 0.1
        np.testing.assert_allclose(evidence.theta(evidence.hyper(theta)), theta)


def test_an_axis_that_does_not_matter_gets_a_long_length():
    rows, costs = drawn(60, [0.3], 0.0)
    useless = np.random.default_rng(5).random((60, 1))
    hyper = fit_hyper(np.concatenate([rows, useless], axis=1), np.array([0, 1]), costs, None)
    assert hyper.lengths[1] > 5 * hyper.lengths[0]


def test_the_kernel_is_the_one_that_the_data_come_from():
    rows = np.random.default_rng(3).random((60, 2))
    wave = np.sin(4.0 * rows[:, 0]) + np.cos(3.0 * rows[:, 1])
    kink = np.abs(rows[:, 0] - 0.4) + np.abs(rows[:, 1] - 0.6)
    owner = np.array([0, 1])
    assert fit_hyper(rows, owner, wave, None).smooth
    assert not fit_hyper(rows, owner, kink, None).smooth


def test_noise_is_told_from_signal():
    owner = np.array([0, 1])
    clean = fit_hyper(*_with(owner, drawn(80, [0.5, 0.5], 0.0)), None)
    noisy = fit_hyper(*_with(owner, drawn(80, [0.5, 0.5], 0.3)), None)
    assert clean.noise < 1e-4
    assert 0.04 < noisy.noise < 0.2


def _with(owner, data):
    rows, costs = data
    return rows, owner, costs


def test_a_known_noise_is_kept():
    rows, costs = drawn(20, [0.5, 0.5], 0.0)
    assert fit_hyper(rows, np.array([0, 1]), costs, 0.25).noise == 0.25


def test_it_is_a_function_of_the_data_alone():
    """What is remembered changes nothing."""
    rows, costs = drawn(30, [0.4, 0.8], 0.1)
    owner = np.array([0, 1])
    start = Hyper(lengths=np.array([1.0, 1.0]), signal=1.0, noise=0.01)
    first = fit_hyper(rows, owner, costs, None), fit_hyper(rows, owner, costs, None, start)
    fit._memory.clear()
    second = fit_hyper(rows, owner, costs, None), fit_hyper(rows, owner, costs, None, start)
    for one, other in zip(first, second, strict=True):
        assert one.lengths.tolist() == other.lengths.tolist()
        assert (one.signal, one.noise) == (other.signal, other.noise)


def test_memory_is_bounded():
    owner = np.array([0])
    for seed in range(fit.MEMORY + 5):
        fit_hyper(*_with(owner, drawn(3, [0.5], 0.0, seed)), None)
    assert len(fit._memory) == fit.MEMORY


def test_round_numbers():
    wanted = {0: 2, 1: 2, 5: 4, 8: 8, 11: 8, 12: 12, 15: 12, 16: 16, 23: 16, 24: 24, 100: 96, 1000: 768}
    assert {num: round_number(num) for num in wanted} == wanted
