"""What a curve says of its end, against calling `extrapolate` by hand."""

import math

import numpy as np
import pytest

from lightning_tune.callbacks.outlook import Outlook, Rule
from lightning_tune.curves.posterior import extrapolate
from lightning_tune.errors import ArgumentError

CURVE = {1: 0.6, 2: 0.7, 3: 0.75, 4: 0.77, 5: 0.78, 6: 0.785}


def by_hand(at, curve=CURVE, mode="max", bounds=None):
    return extrapolate(np.array([list(curve.values())]), at=at, mode=mode, bounds=bounds)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("min_delta", [0.0, 0.02])
@pytest.mark.parametrize("bounds", [None, (0, 1), (None, 1.0)])
def test_the_chance_and_the_interval_are_those_of_the_end(mode, min_delta, bounds):
    outlook = Rule(mode=mode, min_delta=min_delta, bounds=bounds).look(CURVE, 20).against(0.8)
    found = by_hand(20, mode=mode, bounds=bounds)
    goal = 0.8 + min_delta if mode == "max" else 0.8 - min_delta
    assert outlook.chance == pytest.approx(found.prob_better(goal)[0])
    wanted = [found.quantile(level)[0] for level in (0.05, 0.5, 0.95)]
    assert [outlook.low, outlook.predicted, outlook.high] == pytest.approx(wanted)


def test_it_is_hopeless_below_the_threshold():
    chance = by_hand(20).prob_better(0.8)[0]
    for threshold in (chance * 0.99, chance * 1.01):
        outlook = Rule(mode="max", threshold=threshold).look(CURVE, 20).against(0.8)
        assert outlook.hopeless is (threshold > chance)


def test_epochs_without_a_finite_value_are_no_reports():
    gaps = {1: 0.6, 3: 0.75, 4: math.nan, 5: 0.78, 6: math.inf, 7: 0.785}
    values = np.array([[0.6, np.nan, 0.75, np.nan, 0.78, np.nan, 0.785]])
    wanted = extrapolate(values, at=20, mode="max").prob_better(0.8)[0]
    assert Rule(mode="max").look(gaps, 20).against(0.8).chance == pytest.approx(wanted)


@pytest.mark.parametrize("cost_aware", [False, True])
def test_at_the_end_nothing_is_left_to_predict(cost_aware):
    """With costs counted `min_delta` is no part of the target."""
    view = Rule(mode="max", cost_aware=cost_aware, min_delta=0.1).look(CURVE, 6)
    found = {target: view.against(target) for target in (0.68, 0.69, 0.784, 0.785, 0.8, None)}
    assert {(each.predicted, each.low, each.high, each.hopeless) for each in found.values()} == {
        (0.785, 0.785, 0.785, False)
    }
    beaten = [0.68, None] if not cost_aware else [0.68, 0.69, 0.784, None]
    assert {target: each.chance for target, each in found.items()} == {
        target: float(target in beaten) for target in found
    }


def test_at_the_end_a_lower_value_may_be_the_better_one():
    view = Rule(mode="min", min_delta=0.01).look(CURVE, 6)
    assert [view.against(target).chance for target in (0.8, 0.79, 0.78)] == [1.0, 0.0, 0.0]
    assert view.against(0.8, "the others' best of ").reason == (
        "epoch 6: beats the others' best of 0.8 by 0.01 or more at the end (0.785)"
    )
    assert view.against(0.7).reason == "epoch 6: does not beat 0.7 by 0.01 or more at the end (0.785)"
    assert "nothing to beat yet" in view.against(None).reason


def gains_by_hand(target, end, mode):
    """The expected improvement at every later epoch, from quantiles."""
    epochs = np.arange(7, end + 1)
    levels = (np.arange(4000) + 0.5) / 4000
    values = by_hand(epochs[None].astype(float), mode=mode, bounds=(0, 1)).quantile(levels)[0]
    beaten = values - target if mode == "max" else target - values
    return epochs, np.maximum(beaten, 0.0).mean(axis=1)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("target", [0.7, 0.8])
def test_costs_are_weighed_against_the_expected_improvement_at_later_epochs(mode, target):
    """What a training must bring to be worth it is found from the quantiles of every later epoch."""
    epochs, gains = gains_by_hand(target, 10, mode)  # few enough that every epoch is a horizon
    worth = float((gains * 10 / (epochs - 6)).max())  # the `min_delta` below which training on is worth it
    for min_delta in (worth * 0.97, worth * 1.03):
        rule = Rule(mode=mode, cost_aware=True, min_delta=min_delta, bounds=(0, 1))
        view = rule.look(CURVE, 10)
        assert view.horizons.tolist() == epochs.tolist()
        assert view.against(target).hopeless is (min_delta > worth)


def test_horizons_are_few_and_reach_from_the_next_epoch_to_the_end():
    view = Rule(mode="max", cost_aware=True, min_delta=0.1).look(CURVE, 500)
    assert view.horizons[0] == 7
    assert view.horizons[-1] == 500
    assert len(view.horizons) <= 10
    assert (np.diff(view.horizons) >= 1).all()
    assert Rule(mode="max").look(CURVE, 500).horizons.tolist() == [500]


def test_with_costs_the_chance_is_to_beat_the_target_itself():
    outlook = Rule(mode="max", cost_aware=True, min_delta=0.5).look(CURVE, 20).against(0.8)
    assert outlook.chance == pytest.approx(by_hand(20).prob_better(0.8)[0])


def test_with_nothing_to_beat_nothing_is_hopeless():
    for rule in (Rule(mode="max"), Rule(mode="max", cost_aware=True, min_delta=10.0)):
        outlook = rule.look(CURVE, 20).against(None)
        assert (outlook.chance, outlook.hopeless) == (1.0, False)
        assert "nothing to beat yet by epoch 20" in outlook.reason


def test_the_reason_in_words():
    view = Rule(mode="max", min_delta=0.01).look(CURVE, 20)
    outlook = view.against(0.934, "its own best of ")
    low, middle, high = (f"{value:.2f}" for value in (outlook.low, outlook.predicted, outlook.high))
    assert outlook.reason.startswith("epoch 6: ")
    assert "% chance to beat its own best of 0.934 by 0.01 or more by epoch 20 (predicted " in outlook.reason
    assert f"{middle[:3]}" in outlook.reason
    assert low[:3] in outlook.reason
    assert high[:3] in outlook.reason
    costly = Rule(mode="max", cost_aware=True, min_delta=3.0).look(CURVE, 20).against(0.934)
    assert "to be gained over 0.934 by epoch 7, worth it from 0.15 on; " in costly.reason


def test_what_is_logged():
    outlook = Outlook(predicted=0.5, low=0.4, high=0.6, chance=0.1, hopeless=False, reason="")
    assert outlook.metrics == {
        "tune/predicted_final": 0.5,
        "tune/predicted_final_low": 0.4,
        "tune/predicted_final_high": 0.6,
        "tune/p_beats_best": 0.1,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"threshold": 0}, "`threshold` must be a probability between 0 and 1, got 0"),
        ({"threshold": 1.0}, "`threshold` must be a probability between 0 and 1, got 1.0"),
        ({"threshold": True}, "`threshold` must be a probability"),
        ({"threshold": math.nan}, "`threshold` must be a probability"),
        ({"min_delta": -0.1}, "`min_delta` must be a number of at least 0, got -0.1"),
        ({"min_delta": math.inf}, "`min_delta` must be a number of at least 0, got inf"),
        ({"cost_aware": 1}, "`cost_aware` must be True or False, got 1"),
        ({"cost_aware": True}, "`min_delta` must be above 0 with `cost_aware=True`, got 0"),
        ({"bounds": 3}, "`bounds` must be (low, high), None for no bound, got 3"),
        ({"bounds": (1, 0)}, "`bounds` must be ascending, got (1, 0)"),
        ({"bounds": (0, "x")}, "`bounds` must be (low, high)"),
    ],
)
def test_a_bad_argument_is_named(arguments, words):
    with pytest.raises(ArgumentError) as error:
        Rule(mode="max", **arguments)
    assert words in str(error.value)
