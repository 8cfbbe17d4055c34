import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import norm

from lightning_tune.search.gp.kernel import gaussian, kernel_of, matern, squared_distances


def test_it_is_matern_five_halves():
    """The closed form (Rasmussen & Williams 4.17) at distance r."""
    r = np.linspace(0.0, 6.0, 50)
    expected = (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    np.testing.assert_allclose(matern(r**2)[0], expected, atol=1e-14)


def test_the_smooth_one_is_gaussian():
    r = np.linspace(0.0, 6.0, 50)
    np.testing.assert_allclose(gaussian(r**2)[0], norm.pdf(r) / norm.pdf(0.0), atol=1e-14)
    assert kernel_of(smooth=True) is gaussian
    assert kernel_of(smooth=False) is matern


@pytest.mark.parametrize("kernel", [matern, gaussian])
def test_slopes_equal_finite_differences(kernel):
    squared = np.linspace(0.01, 9.0, 40)
    numeric = (kernel(squared + 1e-6)[0] - kernel(squared - 1e-6)[0]) / 2e-6
    np.testing.assert_allclose(kernel(squared)[1], numeric, atol=1e-8)


def test_distances_equal_scipys():
    rng = np.random.default_rng(0)
    left, right, weight = rng.random((7, 4)), rng.random((5, 4)), rng.random(4) * 30
    expected = cdist(left, right, "sqeuclidean", w=weight)
    np.testing.assert_allclose(squared_distances(left, right, weight), expected, atol=1e-12)


def test_a_point_is_at_no_negative_distance_from_itself():
    points = np.random.default_rng(1).random((50, 6))
    assert squared_distances(points, points, np.full(6, 1e4)).min() >= 0.0
