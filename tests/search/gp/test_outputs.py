import math

import numpy as np
import pytest
from scipy.stats import skew

from lightning_tune.search.gp.outputs import standardise


def test_mean_zero_and_deviation_one():
    costs = np.random.default_rng(0).normal(7.0, 3.0, size=40)
    standard = standardise(costs)
    assert standard.costs.mean() == pytest.approx(0.0, abs=1e-12)
    assert standard.costs.std() == pytest.approx(1.0)
    assert np.argsort(standard.costs).tolist() == np.argsort(costs).tolist()


def test_the_scale_brings_the_objectives_unit_back():
    costs = np.array([1.0, 2.0, 3.0, 4.0])
    standard = standardise(costs)
    np.testing.assert_allclose(np.diff(standard.costs) * standard.scale, np.diff(costs))


def test_an_exploded_loss_does_not_flatten_the_others():
    good = np.linspace(0.0, 1.0, 19)
    alone, beside = standardise(good), standardise(np.append(good, 1e30))
    assert np.ptp(beside.costs[:-1]) > 0.4 * np.ptp(alone.costs)
    assert beside.costs.argmax() == 19


def test_a_skewed_cost_is_drawn_in_and_a_symmetric_one_is_left_alone():
    normal = np.random.default_rng(1).normal(size=200)
    assert abs(skew(standardise(np.exp(2.0 * normal)).costs)) < 0.5 * skew(np.exp(2.0 * normal))
    np.testing.assert_allclose(standardise(normal).costs, (normal - normal.mean()) / normal.std())


def test_near_the_best_a_difference_is_worth_its_scale():
    costs = np.exp(np.random.default_rng(2).normal(size=100))
    costs[:2] = costs.min() - 1e-3, costs.min() - 2e-3
    standard = standardise(costs)
    assert (standard.costs[0] - standard.costs[1]) * standard.scale == pytest.approx(1e-3, rel=1e-2)


def test_costs_from_one_place_count_as_one():
    costs = np.concatenate([np.arange(9.0), np.full(30, 4.0)])
    crowding = np.concatenate([np.ones(9), np.full(30, 30.0)])
    crowded = standardise(costs, crowding).costs
    np.testing.assert_allclose(crowded[:9], standardise(np.append(np.arange(9.0), 4.0)).costs[:9], atol=1e-12)


def test_the_bad_tail_keeps_its_order():
    costs = np.concatenate([np.linspace(0.0, 1.0, 19), [3.0, 5.0, 8.0]])
    standard = standardise(costs)
    assert (np.diff(standard.costs) > 0).all()
    assert standard.costs[-1] < 4.0


def test_a_failure_is_as_bad_as_the_worst():
    standard = standardise(np.array([1.0, math.inf, 3.0, 2.0]))
    assert standard.costs[1] == standard.costs[2] == standard.costs.max()


@pytest.mark.parametrize(
    "costs",
    [[], [math.inf], [math.inf, math.inf], [3.0], [2.0, 2.0, 2.0], [1e308, -1e308, 0.0], [5e-324, 0.0]],
)
def test_what_is_awkward_stays_finite(costs: list[float]):
    standard = standardise(np.array(costs))
    assert np.isfinite(standard.costs).all()
    assert len(standard.costs) == len(costs)
    assert standard.scale > 0
