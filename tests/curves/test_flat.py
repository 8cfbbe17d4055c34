import math

import numpy as np
import pytest
from scipy.integrate import quad

from lightning_tune.curves import extrapolate
from lightning_tune.curves.flat import flat_parts, is_flat
from lightning_tune.curves.network import shipped


def test_equal_reports_are_flat_and_one_is_only_if_it_is_zero():
    costs = np.array([[0.1, 0.1, 0.1], [0.1, 0.1, 0.1 + 1e-12], [0.0, 0.0, 0.0]])
    assert is_flat(np.arange(1.0, 4.0), costs).tolist() == [True, False, True]
    assert is_flat(np.ones(1), np.array([[0.1], [0.0]])).tolist() == [False, True]


@pytest.mark.parametrize("reports", [2, 4, 40])
@pytest.mark.parametrize("left", [1, 7, 100])
def test_it_stays_as_often_as_the_rule_of_succession_says(reports: int, left: int):
    """The chance to stay is uniform beforehand: its posterior is integrated."""
    likelihood, _ = quad(lambda stay: stay ** (reports - 1), 0, 1)
    both, _ = quad(lambda stay: stay ** (reports - 1 + left), 0, 1)
    steps = np.arange(1.0, reports + 1.0)
    _, parts = flat_parts(shipped(), steps, np.array([0.3]), np.array([reports + left]))
    assert parts.weights[0, 0, -1] == pytest.approx(both / likelihood)
    assert parts.weights.sum() == pytest.approx(1.0)


def test_reports_may_lie_several_steps_apart():
    often = extrapolate([[0.3] * 8], at=24, mode="min")
    rare = np.full((1, 32), np.nan)
    rare[0, 3::4] = 0.3
    assert np.allclose(extrapolate(rare, at=96, mode="min").quantile([0.1, 0.9]), often.quantile([0.1, 0.9]))


def test_a_network_at_chance_may_learn_yet():
    found = extrapolate([[0.1] * 4], at=50, mode="max", bounds=(0, 1))
    assert found.prob_better(0.5)[0] > 0.05
    longer = extrapolate([[0.1] * 40], at=50, mode="max", bounds=(0, 1))
    assert longer.prob_better(0.5)[0] < 0.005


def test_when_it_moves_it_is_like_a_curve_that_has_just_begun():
    flat = extrapolate([[0.25] * 6], at=26, mode="min")
    begun = extrapolate([[0.25]], at=21, mode="min")
    for target in (0.2, 0.24, 0.3):
        expected = (1 - 6 / 26) * begun.prob_better(target)[0] + (6 / 26 if target > 0.25 else 0.0)
        assert flat.prob_better(target)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("reports", [1, 5])
def test_zeros_may_rise(reports: int):
    found = extrapolate([[0.0] * reports], at=50, mode="max", bounds=(0, 1))
    assert 0.01 < found.prob_better(0.1)[0] < 0.99
    assert math.isfinite(found.log_prob(0.3)[0])


def test_flat_curves_are_predicted_beside_others():
    rising = [0.1, 0.2, 0.3, 0.35]
    alone = extrapolate([rising], at=20, mode="max").quantile(0.5)
    both = extrapolate([rising, [0.1] * 4], at=20, mode="max").quantile(0.5)
    assert both[0] == pytest.approx(alone[0])


def test_a_flat_curve_in_a_sweep_is_told_by_the_others():
    """Five trials that learnt and one that has not moved, with hyperparameters like theirs."""
    steps = np.arange(1.0, 13.0)
    learnt = [0.9 - level * steps**-1.0 for level in (0.5, 0.55, 0.6, 0.65, 0.7)]
    curves = np.full((6, 12), np.nan)
    curves[:5] = learnt
    curves[5, :3] = 0.1
    configs = np.linspace(0.0, 1.0, 6)[:, None]
    alone = extrapolate(curves[5:], at=12, mode="max").quantile(0.5)[0]
    told = extrapolate(curves, at=12, mode="max", configs=configs).quantile(0.5)[5]
    assert alone < told
