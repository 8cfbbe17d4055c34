import numpy as np

from lightning_tune.curves.fitting.drawing import draw


def test_the_same_seed_draws_the_same_curves():
    first, again, other = (draw(20, 30, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (20, 30)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_most_curves_get_better_and_some_diverge():
    curves = draw(600, 60, np.random.default_rng(2))
    assert np.isfinite(curves).all()
    gain = np.median(curves[:, :3], axis=1) - np.median(curves[:, -3:], axis=1)
    assert 0.6 < (gain > 0).mean() < 0.95
    steps = np.abs(np.diff(curves, axis=1))
    jumps = steps.max(axis=1) / np.median(steps, axis=1)
    assert (jumps > 1e4).mean() > 0.01


def test_some_begin_with_a_plateau():
    """Their first half moves by less than a tenth of the whole, their second half by the rest."""
    curves = draw(600, 60, np.random.default_rng(3))
    smooth = np.apply_along_axis(lambda curve: np.convolve(curve, np.ones(5) / 5, "valid"), 1, curves)
    whole = np.ptp(smooth, axis=1)
    early = np.ptp(smooth[:, :20], axis=1)
    assert 0.03 < (early < 0.1 * whole).mean() < 0.4
