import mpmath
import numpy as np
import pytest

from lightning_tune.search.gp.log_ei import log_ei, log_h


def exact(z: float) -> tuple[float, float]:
    """Return log(phi(z) + z Phi(z)) and its derivative with 60 to 100 digits more than are lost."""
    with mpmath.workdps(120):
        x = mpmath.mpf(z)
        density = mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)
        below = mpmath.erfc(-x / mpmath.sqrt(2)) / 2
        height = density + x * below
        return float(mpmath.log(height)), float(below / height)


@pytest.mark.parametrize(
    "z", [10.0, 3.0, 0.5, 0.0, -0.5, -0.999, -1.0, -1.001, -3.0, -10.0, -49.9, -50.1, -300.0, -1e3, -1e4]
)
def test_it_equals_high_precision_arithmetic(z: float):
    value, slope = log_h(np.array([z]))
    expected_value, expected_slope = exact(z)
    assert value[0] == pytest.approx(expected_value, rel=1e-12, abs=1e-12)
    assert slope[0] == pytest.approx(expected_slope, rel=1e-9)


def test_it_equals_the_integral_of_the_improvement():
    """E[max(best - f, 0)] for a normal f, integrated numerically."""
    mean, sd, best = 0.7, 0.4, -0.2
    with mpmath.workdps(40):
        total = mpmath.quad(
            lambda f: (best - f) * mpmath.npdf(f, mean, sd), [best - 12 * sd, best - 3 * sd, best]
        )
        expected = float(mpmath.log(total))
    value, _, _ = log_ei(np.array([mean]), np.array([sd]), np.array([best]))
    assert value[0] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("mean", [-2.0, 0.1, 3.0, 500.0])
def test_its_slopes_equal_finite_differences(mean: float):
    sd, best, step = 0.3, 0.0, 1e-6

    def value(m: float, s: float) -> float:
        return float(log_ei(np.array([m]), np.array([s]), np.array([best]))[0][0])

    _, by_mean, by_sd = log_ei(np.array([mean]), np.array([sd]), np.array([best]))
    along_mean = (value(mean + step, sd) - value(mean - step, sd)) / (2 * step)
    along_sd = (value(mean, sd + step) - value(mean, sd - step)) / (2 * step)
    assert by_mean[0] == pytest.approx(along_mean, rel=1e-5)
    assert by_sd[0] == pytest.approx(along_sd, rel=1e-5, abs=1e-9)


def test_it_falls_without_a_break():
    """No jump where one formula hands over to another, though EI itself underflows below -38."""
    values, slopes = log_h(np.linspace(-60.0, 5.0, 20001))
    assert (np.diff(values) > 0).all()
    assert (np.diff(slopes) < 0).all()
    assert np.isfinite(values).all()
