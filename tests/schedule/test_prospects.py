from dataclasses import replace

import numpy as np
import pytest

from lightning_tune.curves.improvement import expected_improvement
from lightning_tune.curves.posterior import extrapolate
from lightning_tune.schedule.curves_of import Curves
from lightning_tune.schedule.prospects import alone, prospects, together

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


def arrays(found):
    return [getattr(found, name) for name in ("centre", "unit", "weights", "places", "scales")]


@pytest.mark.parametrize("limits", [(-np.inf, np.inf), (0.2, 1.5)])
def test_together_is_what_extrapolate_says_of_configurations(limits):
    curves, places, _ = sweep()
    curves = replace(curves, costs=np.clip(curves.costs, *limits), limits=limits)
    found = together(curves, FULL, places)
    there = extrapolate(curves.costs, at=FULL, mode="min", bounds=limits, configs=places)
    for own, other in zip(arrays(found), arrays(there), strict=True):
        assert own == pytest.approx(other, rel=1e-9)
    assert found.bounds == there.bounds == limits


def test_gaps_and_another_spacing_are_those_of_the_curve():
    curves, places, _ = sweep()
    costs = curves.costs.copy()
    costs[5, 2] = np.nan
    found = together(Curves(costs=costs, spacing=0.5), FULL, places)
    there = extrapolate(costs, at=FULL / 0.5, mode="min", configs=places)
    assert found.quantile(0.5) == pytest.approx(there.quantile(0.5), rel=1e-9)


def test_limits_are_those_of_worth_and_chance():
    curves, places, spent = sweep()
    curves = replace(curves, costs=np.clip(curves.costs, 0.32, 1.5), limits=(0.32, 1.5))
    found = prospects(curves, places, spent, FULL, 0.33)
    there = extrapolate(curves.costs, at=FULL, mode="min", bounds=(0.32, 1.5), configs=places)
    draws = np.stack([there.quantile(q) for q in (np.arange(500) + 0.5) / 500])
    gains = np.maximum(0.33 - draws, 0.0).mean(axis=0)
    assert found.worth == pytest.approx(gains / (FULL - spent), rel=0.1, abs=2e-5)
    assert found.chance == pytest.approx((draws < 0.33).mean(axis=0), abs=5e-3)
    assert (found.worth * (FULL - spent) <= 0.01).all()
    beyond = prospects(curves, places, spent, FULL, 0.1)  # nobody beats a best that was out of bounds
    assert not beyond.worth.any()
    assert not beyond.chance.any()


def test_a_curve_without_reports_needs_one_part_only():
    """Its parts are all the same, and the mixture of them is what one of them says."""
    curves, places, spent = sweep()
    found = prospects(curves, places, spent, FULL, 0.33)
    whole = expected_improvement(found.ends, 0.33)
    assert found.worth == pytest.approx(whole / (FULL - spent), rel=1e-9)
    assert found.chance == pytest.approx(found.ends.prob_better(0.33), rel=1e-9)


def test_what_is_remembered_is_the_same_to_the_last_bit():
    curves, places, spent = sweep()
    wide = np.concatenate([curves.costs, np.full((len(curves.costs), 3), np.nan)], axis=1)
    alone.cache_clear()
    looks = []
    for costs in (curves.costs, curves.costs, wide):  # nothing remembered, all of it, and from a wider grid
        looks.append(prospects(Curves(costs=costs, spacing=1.0), places, spent, FULL, 0.33))
    assert alone.cache_info().misses == 7  # six curves, and one that stands for all without reports
    for other in looks[1:]:
        assert (looks[0].worth == other.worth).all()
        assert (looks[0].chance == other.chance).all()
        assert all((a == b).all() for a, b in zip(arrays(looks[0].ends), arrays(other.ends), strict=True))


def test_after_a_slice_only_the_curve_that_went_on_is_predicted_anew():
    curves, places, spent = sweep()
    prospects(curves, places, spent, FULL, 0.33)
    before = alone.cache_info().misses
    costs = curves.costs.copy()
    costs[2, 3] = 0.4
    found = prospects(Curves(costs=costs, spacing=1.0), places, spent, FULL, 0.33)
    assert alone.cache_info().misses == before + 1
    alone.cache_clear()
    fresh = prospects(Curves(costs=costs, spacing=1.0), places, spent, FULL, 0.33)
    assert (found.worth == fresh.worth).all()


def test_some_rows_are_those_curves():
    curves, places, _ = sweep()
    found = together(curves, FULL, places)
    some = found.rows(np.array([4, 1]))
    assert some.quantile(0.3).tolist() == pytest.approx(found.quantile(0.3)[[4, 1]].tolist())
