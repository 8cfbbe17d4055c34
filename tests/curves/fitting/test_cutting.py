import numpy as np

from lightning_tune.curves.features import see
from lightning_tune.curves.fitting.cutting import pool, vary
from lightning_tune.curves.noise import noise

RNG = np.random.default_rng(0)
FALLING = 1.0 / np.arange(1.0, 31.0) + 0.01 * RNG.standard_normal((40, 30))
RISING = -FALLING[:25, :20]


def test_each_data_set_owns_its_rows_and_the_drawn_ones_come_last():
    data = pool([FALLING, RISING], np.random.default_rng(1), cuts=3)
    counts = np.bincount(data.owner)
    assert len(counts) == 4
    assert counts[0] == 3 * 40
    assert counts[1] == 3 * 25
    assert data.columns.shape == (
        counts.sum(),
        see(np.ones(1), np.ones((1, 1)), np.array([2.0])).columns.shape[-1],
    )
    assert np.isfinite(data.columns).all()
    assert np.isfinite(data.outcomes).all()
    assert data.anchors.places.shape == (counts.sum(), 3)


def test_an_outcome_is_what_a_curve_came_to():
    """Of lines without noise: the unit is the slope, so the outcome says how many steps later it was."""
    lines = np.arange(30.0) * np.array([[1.0], [5.0]])
    data = pool([lines], np.random.default_rng(2), cuts=8)
    own = data.owner == 0
    later = np.sinh(data.outcomes[own]) * 1.1
    plain = np.abs(later - np.round(later)) < 0.02
    assert plain.mean() > 0.4  # half of the cuts are varied
    assert (later[plain] > 0.5).all()


def test_curves_with_gaps_are_cut_where_they_are_whole():
    gaps = FALLING.copy()
    gaps[:, 10:] = np.nan
    data = pool([gaps], np.random.default_rng(3), cuts=20)
    own = data.owner == 0
    assert np.isfinite(data.columns[own]).all()
    assert own.sum() < 20 * 40


def test_variation_mixes_and_adds_noise():
    flat = np.tile(np.linspace(1.0, 0.0, 50), (400, 1))
    varied = vary(flat, np.random.default_rng(4))
    changed = np.abs(varied - flat).max(axis=1) > 1e-9
    assert 0.15 < changed.mean() < 0.35  # mixing equal curves changes nothing: the noisy quarter
    assert (noise(varied[changed]) > noise(flat[changed])).mean() > 0.8


def test_the_same_seed_cuts_the_same():
    first, again = (pool([FALLING], np.random.default_rng(5), cuts=2) for _ in range(2))
    np.testing.assert_array_equal(first.columns, again.columns)
    np.testing.assert_array_equal(first.outcomes, again.outcomes)
