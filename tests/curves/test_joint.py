import math

import numpy as np
import pytest

from lightning_tune.curves import extrapolate
from lightning_tune.curves.joint import COMMON, LENGTHS, NUGGETS, SIZES, _likeliest, _told

RNG = np.random.default_rng(0)
CONFIGS = RNG.random((30, 2))
ENDS = 0.3 + 0.5 * CONFIGS[:, 0]
STEPS = np.arange(1.0, 51.0)
CURVES = ENDS[:, None] + 1.5 * STEPS**-0.7 + 0.01 * RNG.standard_normal((30, 50))


def cut(seen: int) -> np.ndarray:
    curves = CURVES.copy()
    curves[:, seen:] = np.nan
    return curves


def matern(first: np.ndarray, second: np.ndarray) -> float:
    r = math.sqrt(5.0) * float(np.linalg.norm(first - second))
    return (1.0 + r + r**2 / 3.0) * math.exp(-r)


def test_what_others_tell_is_the_process_without_the_curve():
    """Each left out in turn, by the textbook formula for one more point."""
    x, y, doubts = CONFIGS[:8], RNG.standard_normal(8), RNG.uniform(0.05, 0.3, 8)
    mean, sd = _told(x, y, doubts, np.ones(8, dtype=bool))
    share = 1.0 / (doubts**2 + np.var(y) + 1e-12)
    level = share @ y / share.sum()
    signal = share @ (y - level) ** 2 / share.sum()
    apart = np.linalg.norm(x[:, None] - x, axis=-1)
    length, nugget, size = _likeliest(apart, y - level, doubts**2, signal, 2)
    kernel = size * np.array([[matern(a / length, b / length) for b in x] for a in x])
    whole = kernel + size * nugget * np.eye(8)
    influence = 1.0 / (doubts**2 + size)
    common = influence @ doubts**2 / influence.sum()
    for one in range(8):
        rest = np.arange(8) != one
        noisy = whole[np.ix_(rest, rest)] + np.diag(doubts[rest] ** 2)
        weights = np.linalg.solve(noisy, kernel[rest, one])
        assert mean[one] == pytest.approx(level + weights @ (y[rest] - level), rel=1e-8)
        variance = whole[one, one] - weights @ kernel[rest, one]
        assert sd[one] == pytest.approx(math.sqrt(variance + COMMON * common), rel=1e-6)


def test_the_likeliest_settings_are_found_by_trying_all():
    x, y = CONFIGS[:6], np.sin(5.0 * CONFIGS[:6, 0])
    noise = np.full(6, 0.01)
    apart = np.linalg.norm(x[:, None] - x, axis=-1)
    found = _likeliest(apart, y, noise, 0.5, 2)
    fits = {}
    for length in LENGTHS:
        for nugget in NUGGETS:
            for size in SIZES:
                scale = length * math.sqrt(2)
                kernel = np.array([[matern(a / scale, b / scale) for b in x] for a in x])
                covariance = 0.5 * size * (kernel + nugget * np.eye(6)) + np.diag(noise)
                fit = -0.5 * y @ np.linalg.solve(covariance, y) - 0.5 * np.linalg.slogdet(covariance)[1]
                fits[scale, nugget, 0.5 * size] = fit
    assert found == pytest.approx(max(fits, key=fits.__getitem__))


def test_others_help_where_configurations_decide():
    """Ends are known better with them than without, early on."""
    alone = extrapolate(cut(4), at=50, mode="min")
    joint = extrapolate(cut(4), at=50, mode="min", configs=CONFIGS)
    truth = CURVES[:, -1]
    assert joint.log_prob(truth).mean() > alone.log_prob(truth).mean()
    assert np.median(joint.std) < np.median(alone.std)


def test_a_curve_without_reports_is_told_by_the_others():
    curves = cut(25)
    curves[:3] = np.nan
    found = extrapolate(curves, at=50, mode="min", configs=CONFIGS)
    assert np.abs(found.quantile(0.5)[:3] - CURVES[:3, -1]).max() < 0.1
    low, high = found.quantile([0.16, 0.84]).T
    assert (high[:3] - low[:3] > np.median(high[3:] - low[3:])).all()


def test_curves_that_say_nothing_of_each_other_are_left_as_they_are():
    """Configurations that have nothing to do with ends move predictions by less than their own width."""
    mixed = RNG.random((30, 2))
    alone = extrapolate(cut(25), at=50, mode="min")
    joint = extrapolate(cut(25), at=50, mode="min", configs=mixed)
    moved = np.abs(joint.quantile(0.5) - alone.quantile(0.5))
    assert (moved < alone.quantile(0.95) - alone.quantile(0.05)).all()


def test_too_few_curves_tell_nothing():
    few = extrapolate(cut(10)[:3], at=50, mode="min", configs=CONFIGS[:3])
    alone = extrapolate(cut(10)[:3], at=50, mode="min")
    np.testing.assert_allclose(few.mean, alone.mean)


def test_a_curve_that_exploded_does_not_spoil_the_others():
    curves = cut(25)
    curves[5, 20:25] = 1e12
    with_it = extrapolate(curves, at=50, mode="min", configs=CONFIGS).quantile(0.5)
    without = extrapolate(cut(25), at=50, mode="min", configs=CONFIGS).quantile(0.5)
    others = np.arange(30) != 5
    assert np.abs(with_it - without)[others].max() < 0.05


def test_several_steps_are_told_one_by_one():
    at = np.tile([40.0, 50.0], (30, 1))
    both = extrapolate(cut(10), at=at, mode="min", configs=CONFIGS)
    last = extrapolate(cut(10), at=50, mode="min", configs=CONFIGS)
    np.testing.assert_allclose(both.mean[:, 1], last.mean)
