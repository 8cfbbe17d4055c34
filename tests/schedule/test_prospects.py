import numpy as np
import pytest

from lightning_tune.curves.posterior import extrapolate
from lightning_tune.schedule.curves_of import Curves
from lightning_tune.schedule.prospects import prospects

STEPS = np.arange(1.0, 9.0)
FULL = 16.0


def sweep(num_new=2):
    """Return (curves, places, spent): six trials of different lengths, and some without a report."""
    rng = np.random.default_rng(3)
    places = rng.random((6 + num_new, 2))
    level = 0.3 + (places[:6, :1] - 0.4) ** 2
    costs = np.full((6 + num_new, len(STEPS)), np.nan)
    costs[:6] = level + 0.8 * STEPS**-0.9 + 0.01 * rng.standard_normal((6, len(STEPS)))
    spent = np.zeros(6 + num_new)
    for row, length in enumerate((1, 2, 3, 5, 8, 8)):
        costs[row, length:] = np.nan
        spent[row] = length
    return Curves(costs=costs, spacing=1.0), places, spent


def test_worth_and_chance_are_those_of_the_joint_prediction_at_the_end():
    curves, places, spent = sweep()
    found = prospects(curves, places, spent, FULL, 0.33)
    there = extrapolate(curves.costs, at=FULL, mode="min", configs=places)
    draws = np.stack([there.quantile(q) for q in (np.arange(4000) + 0.5) / 4000])
    gains = np.maximum(0.33 - draws, 0.0).mean(axis=0)
    assert found.worth == pytest.approx(gains / (FULL - spent), rel=0.1, abs=2e-5)
    assert found.chance == pytest.approx((draws < 0.33).mean(axis=0), abs=1e-3)
    assert (found.worth > 0).all()


def test_a_trial_at_the_full_budget_promises_nothing():
    curves, places, spent = sweep()
    spent[4] = FULL
    found = prospects(curves, places, spent, FULL, 0.3)
    assert found.worth[4] == found.chance[4] == 0.0
    assert found.worth[5] > 0.0


def test_new_configurations_hear_of_their_neighbours():
    """One beside the best of six finished trials promises more than one beside the worst."""
    rng = np.random.default_rng(0)
    x = np.array([0.05, 0.1, 0.5, 0.55, 0.9, 0.95, 0.075, 0.925])[:, None]
    costs = np.full((8, 16), np.nan)
    steps = np.arange(1.0, 17.0)
    costs[:6] = x[:6] + 0.5 / steps + 0.005 * rng.standard_normal((6, 16))
    spent = np.array([16.0] * 6 + [0.0] * 2)
    found = prospects(Curves(costs=costs, spacing=1.0), x, spent, 16.0, float(np.nanmin(costs)))
    assert found.worth[6] > 3 * found.worth[7]
