import numpy as np
from scipy.stats import norm

from lightning_tune.curves.bank import MOST, bank, outlook, shapes_at
from lightning_tune.curves.families import FAMILIES


def test_every_shape_is_of_a_family_and_goes_from_nothing_to_all():
    shapes = shapes_at(np.array([1.0, 3.0, 30.0, 300.0, 1e5]))
    assert {name for name, _ in bank()} <= set(FAMILIES)
    np.testing.assert_allclose(shapes[:, 0], 0.0, atol=1e-12)
    np.testing.assert_allclose(shapes[:, -1], 1.0)
    assert (np.diff(shapes, axis=1) >= -1e-12).all()


def test_no_two_shapes_are_the_same():
    shapes = shapes_at(np.geomspace(1, 3000, 60))
    apart = np.abs(shapes[:, None] - shapes[None]).max(axis=2) + np.eye(len(shapes))
    assert apart.min() > 1e-3


def test_a_curve_of_a_family_is_continued():
    """One whose power lies between two of the bank's."""
    times = np.arange(1.0, 21.0)
    curve = FAMILIES["pow4"].value(np.append(times, 60.0), (0.0, 1.0, 1.0, 0.6))
    noise = 1e-3
    rng = np.random.default_rng(0)
    seen = curve[:-1] + noise * rng.standard_normal((50, 20))
    moved = (seen - seen[:, -1:]) / noise
    for found in outlook(times, moved, 60.0):
        ends = seen[:, -1] + noise * np.sinh(found.place)
        assert abs(np.median(ends) - curve[-1]) < 0.25 * (curve[-1] - curve[-2])


def test_flat_noise_stays_where_it_is():
    moved = norm.rvs(size=(50, 30), random_state=0)
    for found in outlook(np.arange(1.0, 31.0), moved - moved[:, -1:], 60.0):
        ends = moved[:, -1] + np.sinh(found.place)
        assert np.abs(ends).max() < 1.5


def test_more_trust_in_the_evidence_means_less_doubt():
    times = np.arange(1.0, 21.0)
    moved = 50.0 * (1.0 - times**-0.5) + np.random.default_rng(1).standard_normal((40, 20))
    cautious, plain = outlook(times, moved - moved[:, -1:], 100.0)
    assert np.median(plain.doubt) < np.median(cautious.doubt)
    assert cautious.columns.shape == plain.columns.shape == (40, 6)
    assert (np.diff(plain.quantiles, axis=1) >= 0).all()


def test_a_long_curve_is_averaged():
    """A thousand reports cost what 48 do, and say the same."""
    times = np.arange(1.0, 1001.0)
    rng = np.random.default_rng(0)
    curve = 100 * (1 - times**-0.5) + rng.standard_normal((1, 1000))
    long = outlook(times, curve - curve[:, -1:], 2000.0)[0]
    bins = np.array_split(np.arange(1000), MOST)
    middles = np.array([times[bin_].mean() for bin_ in bins])
    means = np.stack([curve[:, bin_].mean(axis=1) for bin_ in bins], axis=1)
    short = outlook(middles, means - curve[:, -1:], 2000.0)[0]
    np.testing.assert_allclose(long.place, short.place, atol=0.3)
