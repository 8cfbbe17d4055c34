import math

import numpy as np
import pytest
from scipy.stats import norm

from lightning_tune.core.encode import Encoding
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.search.gp.acquisition import Acquisition
from lightning_tune.search.gp.belief import believe
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.surrogate import Hyper, Surrogate

LAYOUT = Layout(Encoding(Space({"a": Float(0, 1), "c": Choice({"x": {"b": Float(0, 1)}, "y": {}})})))


LENGTHS = np.array([0.4, 0.8, 0.6, 1.0])


def acquisition(versions: int = 1, belief: bool = False, context: int = 0) -> Acquisition:
    """Return one over two hyperparameters that may be true, each with a kernel of its own."""
    rng = np.random.default_rng(0)
    rows = LAYOUT.features(LAYOUT.settle(rng.random((12, 3))))
    rows = np.concatenate([rows, np.ones((12, context))], axis=1)
    owner = np.concatenate([LAYOUT.owner, np.full(context, 3)])
    costs = rng.standard_normal((12, versions))
    hypers = [
        Hyper(lengths=LENGTHS[: owner.max() + 1] * scale, signal=scale, noise=1e-3, smooth=smooth)
        for scale, smooth in ((1.0, False), (0.7, True))
    ]
    surrogates = [Surrogate.fit(rows, owner, costs, hyper) for hyper in hypers]
    believed = believe(LAYOUT, {"a": (0.7, 0.2), "b": 0.1, "c": "y"}) if belief else None
    return Acquisition(
        layout=LAYOUT,
        surrogates=surrogates,
        best=[surrogate.mean(rows).min(axis=0) for surrogate in surrogates],
        context=np.ones(context),
        belief=believed,
    )


def test_it_is_the_logarithm_of_the_mean_of_expected_improvement_over_hyperparameters_and_versions():
    acquire = acquisition(versions=4)
    points = LAYOUT.settle(np.random.default_rng(1).random((6, 3)))
    improvements = []
    for surrogate, best in zip(acquire.surrogates, acquire.best, strict=True):
        mean, variance = surrogate.posterior(LAYOUT.features(points))
        sd = np.sqrt(variance)[:, None]
        z = (best - mean) / sd
        improvements.append(sd * (norm.pdf(z) + z * norm.cdf(z)))
    expected = np.log(np.concatenate(improvements, axis=1).mean(axis=1))
    np.testing.assert_allclose(acquire(points), expected, rtol=1e-8)


@pytest.mark.parametrize("versions", [1, 5])
@pytest.mark.parametrize("belief", [False, True])
@pytest.mark.parametrize("context", [0, 1])
def test_its_slopes_equal_finite_differences(versions: int, belief: bool, context: int):
    acquire = acquisition(versions, belief, context)
    for point in (np.array([0.31, 0.25, 0.62]), np.array([0.87, 0.75, np.nan])):
        value, slope = acquire.with_slope(point)
        assert value == pytest.approx(acquire(point[None, :])[0], rel=1e-9)
        for axis in (0, 2):
            if math.isnan(point[axis]):
                assert slope[axis] == 0.0
                continue
            step = np.zeros(3)
            step[axis] = 1e-6
            above, below = acquire((point + step)[None, :])[0], acquire((point - step)[None, :])[0]
            assert slope[axis] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-5)


def test_a_belief_raises_what_it_believes_in():
    plain, believing = acquisition(), acquisition(belief=True)
    points = np.array([[0.7, 0.75, np.nan], [0.1, 0.75, np.nan]])
    gain = believing(points) - plain(points)
    assert gain[0] == pytest.approx(0.0)
    assert gain[1] == pytest.approx(-0.5 * (0.6 / 0.2) ** 2)
