import numpy as np
import pytest

from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search.axes import axes_of
from lightning_tune.search.bandwidths import good_density, rest_density

FLOATS = axes_of(Space({"x": Float(0, 1), "y": Float(0, 1)}))
KINDS = axes_of(Space({"f": Float(0, 1), "many": Int(1, 20), "few": Int(1, 4), "cat": Choice(list("abcde"))}))


def test_the_good_trials_bandwidths_follow_their_spread_axis_by_axis():
    points = np.stack([np.linspace(0.0, 1.0, 10), np.linspace(0.49, 0.51, 10)], axis=1)
    wide, narrow = good_density(FLOATS, points).widths
    assert wide > 2 * narrow
    closer = good_density(FLOATS, 0.5 + (points - 0.5) / 10).widths
    assert (closer <= [wide / 2, narrow]).all()
    assert (closer >= 0.01).all()


def test_the_best_weigh_most_and_the_uniform_density_as_much_as_one():
    parzen = good_density(FLOATS, np.random.default_rng(0).random((6, 2)))
    assert parzen.weights.sum() == pytest.approx(1.0)
    assert (np.diff(parzen.weights[:-1]) < 0).all()
    assert parzen.weights[-1] == pytest.approx(parzen.weights[:-1].mean())
    others = rest_density(FLOATS, np.random.default_rng(0).random((6, 2))).weights
    assert others.tolist() == pytest.approx([1 / 7] * 7)


def test_the_other_trials_bandwidths_follow_their_number_alone():
    rng = np.random.default_rng(1)
    few, many = (rest_density(FLOATS, rng.random((number, 2))).widths for number in (5, 500))
    close = rest_density(FLOATS, 0.5 + rng.random((5, 2)) / 100).widths
    assert few.tolist() == close.tolist()
    assert (many < few).all()
    assert (many >= 0.05).all()


def test_values_set_a_least_width():
    widths = good_density(KINDS, np.full((200, 4), 0.5)).widths
    assert widths[0] == pytest.approx(0.01)
    assert widths[1] == pytest.approx(0.5 / 20)
    assert widths[2] == pytest.approx(0.35 / 4)


def test_a_category_is_drawn_anew_less_often_with_more_trials():
    chances = [rest_density(KINDS, np.full((number, 4), 0.5)).widths[3] for number in (1, 10, 100)]
    assert chances == pytest.approx([5 / 6, 5 / 15, 5 / 105])


def test_an_axis_that_no_trial_has_is_no_obstacle():
    points = np.full((4, 2), np.nan)
    points[:, 0] = 0.5
    parzen = good_density(FLOATS, points)
    assert np.isfinite(parzen.widths).all()
    assert np.isfinite(parzen.log_density(np.array([[0.5, 0.2]]))).all()


def test_good_trials_weigh_less_and_less_unless_they_are_alike():
    axes = axes_of(Space({"x": Float(0.0, 1.0)}))
    points = np.array([[0.1], [0.5], [0.9]])
    alike, ranked = (good_density(axes, points, alike=alike) for alike in (True, False))
    assert alike.weights.tolist() == pytest.approx([0.25] * 4)
    assert ranked.weights[0] > 2 * ranked.weights[2]
