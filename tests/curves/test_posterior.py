import numpy as np
import pytest

from lightning_tune.curves import extrapolate
from lightning_tune.errors import ArgumentError

STEPS = np.arange(1.0, 16.0)
RNG = np.random.default_rng(0)
RISING = 0.9 - 0.6 * STEPS ** -np.array([[0.5], [1.0]]) + 0.003 * RNG.standard_normal((2, 15))


def test_an_accuracy_that_rises_goes_on_rising():
    found = extrapolate(RISING, at=60, mode="max", bounds=(0, 1))
    end = 0.9 - 0.6 * 60 ** -np.array([0.5, 1.0])
    assert (np.abs(found.quantile(0.5) - end) < 0.05).all()
    assert ((found.quantile(0.05) < end) & (end < found.quantile(0.95))).all()
    assert (found.prob_better(RISING[:, -1]) > 0.7).all()


def test_a_fall_is_a_rise_upside_down():
    up = extrapolate(RISING, at=60, mode="max")
    down = extrapolate(-RISING, at=60, mode="min")
    np.testing.assert_allclose(up.mean, -down.mean, rtol=1e-9)
    np.testing.assert_allclose(up.quantile(0.1), -down.quantile(0.9), rtol=1e-6)
    np.testing.assert_allclose(up.prob_better(0.85), down.prob_better(-0.85), rtol=1e-9)
    np.testing.assert_allclose(up.log_prob([0.85, 0.86]), down.log_prob([-0.85, -0.86]), rtol=1e-9)


def test_what_is_farther_off_is_less_certain():
    found = extrapolate(RISING, at=np.array([[20.0, 60.0, 200.0]] * 2), mode="max", bounds=(0, 1))
    assert found.mean.shape == found.std.shape == found.quantile(0.5).shape == (2, 3)
    assert found.log_prob(np.full((2, 3), 0.8)).shape == (2, 3)
    widths = found.quantile(0.95) - found.quantile(0.05)
    assert (np.diff(widths, axis=1) > 0).all()


@pytest.mark.parametrize("at", [40, np.array([40, 40]), np.array([[40], [40]])])
def test_a_step_may_be_given_once_or_for_each_curve(at):
    found = extrapolate(RISING, at=at, mode="max")
    expected = extrapolate(RISING, at=40, mode="max").mean
    np.testing.assert_allclose(found.mean.reshape(-1), expected)


def test_curves_may_lack_reports_and_differ_in_length():
    """Each is predicted as it would be alone."""
    curves = np.tile(RISING, (2, 1))
    curves[0, 10:] = np.nan
    curves[1, [2, 5, 6]] = np.nan
    curves[2, :4] = np.nan
    found = extrapolate(curves, at=60, mode="max", bounds=(0, 1))
    for place, curve in enumerate(curves):
        alone = extrapolate(curve[None], at=60, mode="max", bounds=(0, 1))
        np.testing.assert_allclose(found.mean[place], alone.mean[0], rtol=1e-9)
    assert (np.abs(found.mean - 0.85) < 0.1).all()


def test_the_order_of_curves_does_not_matter():
    curves = np.concatenate([RISING, RISING[:, ::-1], RISING + 0.05])
    order = RNG.permutation(len(curves))
    found, mixed = (extrapolate(each, at=99, mode="max").mean for each in (curves, curves[order]))
    np.testing.assert_allclose(found[order], mixed, rtol=1e-9)


def test_what_was_reported_is_known():
    found = extrapolate(RISING, at=np.array([[15.0, 7.0]] * 2), mode="max", bounds=(0, 1))
    np.testing.assert_allclose(found.mean, RISING[:, [14, 6]], rtol=1e-4)
    assert found.std.max() < 1e-4


def test_a_loss_that_explodes_is_no_reason_to_fail():
    curves = np.tile(2.0 * STEPS**-0.5, (3, 1))
    curves[0, 12:] = [1e9, 1e15, np.inf]
    curves[1, 5] = 1e6  # a spike, which nothing is concluded from
    found = extrapolate(curves, at=60, mode="min")
    assert np.isfinite(found.quantile(0.5)).all()
    assert found.quantile(0.5)[0] > 1.0
    assert abs(found.quantile(0.5)[1] - 2 * 60**-0.5) < 0.3
    assert found.prob_better(0.5)[0] < 0.2


def test_a_constant_curve_stays():
    found = extrapolate(np.full((1, 20), np.log(2)), at=50, mode="min")
    assert found.quantile(0.5)[0] == pytest.approx(np.log(2), abs=1e-3)


def test_one_report_says_next_to_nothing():
    """A curve may come to anything that is not absurd."""
    found = extrapolate([[0.3], [0.001]], at=50, mode="max", bounds=(0, 1))
    assert (found.quantile(0.95) > [0.7, 0.01]).all()
    loss = extrapolate([[2.3]], at=50, mode="min", bounds=(0, None))
    assert loss.quantile(0.05)[0] < 0.8
    assert loss.quantile(0.95)[0] > 2.0


def test_rounding_beyond_a_bound_is_no_error():
    found = extrapolate([[0.5, 0.9, np.float32(1.0) + np.float32(1.2e-7)]], at=9, mode="max", bounds=(0, 1))
    assert found.quantile(0.99)[0] <= 1.0


def test_a_masked_report_is_none():
    masked = np.ma.masked_equal([[0.1, 0.9, 0.2, 0.25]], 0.9)
    plain = np.array([[0.1, np.nan, 0.2, 0.25]])
    found, expected = (extrapolate(each, at=9, mode="max").mean for each in (masked, plain))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"curves": [0.1, 0.2]},
            r"`curves` must have the shape \(num_curves, num_steps\), one row .*got \(2,\)",
        ),
        ({"curves": np.zeros((0, 5))}, r"`curves` must have the shape .* got \(0, 5\)"),
        ({"curves": [[0.1, 0.2], [0.3]]}, "`curves` must be rows of numbers, all of one length .* got list"),
        ({"curves": [["a", 0.2], [0.3, 0.4]]}, "`curves` must be rows of numbers, all of one length"),
        ({"configs": "abc"}, "`configs` must be rows of numbers in the unit cube, got str"),
        ({"configs": np.zeros((2, 0))}, r"`configs` must have the shape \(2, num_dimensions\), got \(2, 0\)"),
        ({"at": 10**400}, "`at` must be steps, counted from 1, got int"),
        ({"curves": [[np.nan, np.nan], [0.1, 0.2]]}, "`curves` must have a report each, curve 0 has none"),
        ({"at": [1, 2, 3]}, r"`at` must be a step, \(2,\) or \(2, num_at\) of them for 2 curves"),
        ({"at": 0}, "`at` must be steps of at least 1, got 0"),
        ({"at": np.nan}, "`at` must be steps of at least 1, got nan"),
        ({"mode": "up"}, '`mode` must be "min" or "max", got \'up\''),
        ({"bounds": (1, 0)}, r"`bounds` must be ascending, got \(1, 0\)"),
        ({"bounds": 1}, r"`bounds` must be \(low, high\), None for no bound, got 1"),
        ({"bounds": (0, 0.5)}, r"`bounds` of \(0, 0.5\) do not hold: a value is 0\.\d+"),
        ({"configs": [[0.1]]}, r"`configs` must have the shape \(2, num_dimensions\), got \(1, 1\)"),
        ({"configs": [[0.1], [1.1]]}, "`configs` must lie in the unit cube"),
    ],
)
def test_bad_arguments_are_named(change, sentence: str):
    arguments = {"curves": RISING, "at": 60, "mode": "max"} | change
    with pytest.raises(ArgumentError, match=sentence):
        extrapolate(arguments.pop("curves"), **arguments)
