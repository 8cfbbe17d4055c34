import numpy as np

from lightning_tune.curves.noise import noise

STEPS = np.arange(1.0, 13.0)
CURVE = 1.0 - STEPS**-0.7 + 0.01 * np.random.default_rng(0).standard_normal(12)


def test_a_spike_is_not_the_noise():
    spiky = CURVE.copy()
    spiky[5] = 100.0
    assert noise(spiky[None])[0] < 3 * noise(CURVE[None])[0]
    spiky[5] = 1e12
    assert noise(spiky[None])[0] < 3 * noise(CURVE[None])[0]


def test_half_of_the_steps_may_be_none():
    """Then the mean counts: a metric that moves now and then is not without noise."""
    rare = np.tile([0.5, 0.5, 0.5, 0.6], (1, 5))
    assert 0.004 < noise(rare)[0] < 0.1


def test_it_is_in_the_units_of_the_curve():
    np.testing.assert_allclose(noise(1e9 * CURVE[None]), 1e9 * noise(CURVE[None]))


def test_a_constant_curve_has_the_noise_of_its_last_digit():
    np.testing.assert_allclose(noise(np.full((1, 5), 3.0)), 3e-4)
    assert noise(np.zeros((1, 5)))[0] > 0


def test_a_single_report_may_be_far_from_the_end():
    np.testing.assert_allclose(noise(np.array([[2.0], [-0.3]])), [0.2, 0.03])
    assert noise(np.zeros((1, 1)))[0] > 0
