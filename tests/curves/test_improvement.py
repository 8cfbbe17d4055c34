"""The expected improvement against SciPy's adaptive quadrature of the tail, and against draws."""

import numpy as np
import pytest
from scipy.integrate import quad

from lightning_tune.curves.improvement import expected_improvement
from lightning_tune.curves.prediction import Prediction

BOUNDS = [(-np.inf, np.inf), (0.0, 1.0), (0.2, np.inf)]


def mixture(bounds=(-np.inf, np.inf), rises=True, seed=0, number=3):
    rng = np.random.default_rng(seed)
    weights = rng.random((number, 4))
    return Prediction(
        centre=rng.uniform(0.3, 0.7, number),
        unit=rng.uniform(0.01, 0.1, number),
        weights=weights / weights.sum(axis=1, keepdims=True),
        places=rng.normal(0.0, 1.5, (number, 4)),
        scales=rng.uniform(0.05, 0.35, (number, 4)),
        bounds=bounds,
        rises=rises,
    )


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("target", [0.25, 0.5, 0.62, 0.9])
def test_it_is_the_integral_of_the_chance_to_beat_any_further_target(bounds, rises, target):
    """E max(0, y - t) is the integral of P(y > s) over s from t on, whatever the distribution."""
    found = mixture(bounds, rises)
    gains = expected_improvement(found, target)
    for row, gain in enumerate(gains):

        def chance(s, row=row):
            return found.prob_better(s)[row]

        far = 30.0 if rises else -30.0
        far = float(np.clip(far, *bounds))
        points = np.linspace(0.0, 1.0, 41)
        low, high = sorted((target, far))
        points = [point for point in points if low < point < high]
        wanted, _ = quad(chance, low, high, points=points, limit=400)
        assert gain == pytest.approx(wanted, rel=1e-4, abs=1e-7)


def test_draws_agree():
    found = mixture(bounds=(0.0, 1.0), number=1)
    draws = found.quantile((np.arange(20_000) + 0.5) / 20_000)[0]
    assert expected_improvement(found, 0.55)[0] == pytest.approx(np.maximum(draws - 0.55, 0).mean(), rel=1e-3)


@pytest.mark.parametrize("bounds", BOUNDS)
def test_what_is_gained_and_what_is_lost_differ_by_the_mean(bounds):
    """E max(0, y - t) - E max(0, t - y) = E y - t."""
    up, down = mixture(bounds, True, seed=3), mixture(bounds, False, seed=3)
    difference = expected_improvement(up, 0.45) - expected_improvement(down, 0.45)
    assert difference == pytest.approx(up.mean - 0.45, abs=1e-7)


def test_a_target_outside_the_bounds_is_never_beaten_or_always():
    found = mixture(bounds=(0.0, 1.0))
    assert expected_improvement(found, 1.5).tolist() == [0.0, 0.0, 0.0]
    assert expected_improvement(found, -0.5) == pytest.approx(found.mean + 0.5, rel=1e-6)


def test_it_has_the_shape_of_the_prediction():
    found = mixture()
    wide = Prediction(
        centre=np.tile(found.centre[:, None], 2),
        unit=np.tile(found.unit[:, None], 2),
        weights=np.tile(found.weights[:, None], (1, 2, 1)),
        places=np.tile(found.places[:, None], (1, 2, 1)),
        scales=np.tile(found.scales[:, None], (1, 2, 1)),
        bounds=found.bounds,
        rises=True,
    )
    gains = expected_improvement(wide, 0.5)
    assert gains.shape == (3, 2)
    assert gains[:, 1] == pytest.approx(expected_improvement(found, 0.5))
