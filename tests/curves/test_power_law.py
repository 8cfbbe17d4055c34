import numpy as np
import pytest
from scipy.optimize import least_squares

from lightning_tune.curves.power_law import POWERS, fit_power_law

TIMES = np.arange(1.0, 13.0)


def test_it_is_the_least_squares_fit():
    """Against scipy's, over the same range of powers, on noisy curves."""
    rng = np.random.default_rng(0)
    values = 1.0 + 2.0 * TIMES ** -np.array([[0.3], [0.8], [1.5]]) + 0.02 * rng.standard_normal((3, 12))
    found = fit_power_law(TIMES, values, 60.0)
    for row, curve in enumerate(values):
        best = least_squares(
            lambda theta, curve=curve: theta[0] + theta[1] * TIMES ** -theta[2] - curve,
            [curve[-1], 1.0, found.power[row]],
            bounds=([-np.inf, -np.inf, POWERS[0]], [np.inf, np.inf, POWERS[-1]]),
        ).x
        expected = best[0] + best[1] * 60.0 ** -best[2]
        assert found.end[row] == pytest.approx(expected, abs=0.02)
        assert found.power[row] == pytest.approx(best[2], rel=0.05)


def test_an_exact_law_is_continued_without_doubt():
    power = POWERS[40]
    found = fit_power_law(TIMES, (3.0 - 5.0 * TIMES**-power)[None], 1000.0)
    assert found.end[0] == pytest.approx(3.0 - 5.0 * 1000.0**-power)
    assert found.doubt[0] < 1e-6
    assert found.power[0] == power


def test_the_doubt_is_the_standard_error_of_a_prediction():
    """By the textbook formula of linear regression on the best power."""
    rng = np.random.default_rng(1)
    values = 2.0 * TIMES**-0.5 + 0.1 * rng.standard_normal(12)
    found = fit_power_law(TIMES, values[None], 30.0)
    columns = np.column_stack([np.ones(12), TIMES ** -found.power[0]])
    solution, left, *_ = np.linalg.lstsq(columns, values, rcond=None)
    there = np.array([1.0, 30.0 ** -found.power[0]])
    assert found.end[0] == pytest.approx(there @ solution)
    variance = left[0] / 9 * (1.0 + there @ np.linalg.solve(columns.T @ columns, there))
    assert found.doubt[0] == pytest.approx(np.sqrt(variance))


def test_two_reports_say_that_it_stays():
    found = fit_power_law(TIMES[:2], np.array([[3.0, 1.0]]), 30.0)
    assert (found.end[0], found.doubt[0]) == (1.0, 1.0)
