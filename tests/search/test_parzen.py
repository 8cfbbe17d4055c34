"""Densities against scipy's truncated normals and sums written out; draws against the densities."""

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, norm, truncnorm

from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search.axes import axes_of
from lightning_tune.search.parzen import Parzen, log_kernel

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1), "n": Int(1, 4), "c": Choice(["a", "b", "c"])})
AXES = axes_of(SPACE)
POINTS = np.array([[0.2, 0.9, 0.125, 0.5], [0.7, 0.05, 0.625, 1 / 6]])
WEIGHTS = np.array([0.5, 0.3, 0.2])
WIDTHS = np.array([0.1, 0.3, 0.2, 0.4])


def truncated(place, centre, width):
    return truncnorm.pdf(place, -centre / width, (1 - centre) / width, centre, width)


def density(point):
    """Return the density, one factor at a time."""
    total = WEIGHTS[2] / 4 / 3
    for weight, centre in zip(WEIGHTS, POINTS, strict=False):
        factor = truncated(point[0], centre[0], 0.1) * truncated(point[1], centre[1], 0.3)
        edges = norm.cdf(np.linspace(0, 1, 5), centre[2], 0.2)
        factor *= (np.diff(edges) / (edges[-1] - edges[0]))[int(point[2] * 4)]
        same = int(point[3] * 3) == int(centre[3] * 3)
        factor *= 0.6 + 0.4 / 3 if same else 0.4 / 3
        total += weight * factor
    return total


def test_the_density_is_the_sum_of_products_of_kernels():
    parzen = Parzen(AXES, POINTS, WEIGHTS, WIDTHS)
    points = np.random.default_rng(0).random((50, 4))
    expected = [density(point) for point in points]
    np.testing.assert_allclose(np.exp(parzen.log_density(points)), expected, rtol=1e-9)


def test_it_integrates_to_one():
    parzen = Parzen(AXES, POINTS, WEIGHTS, WIDTHS)
    middle = (np.arange(200) + 0.5) / 200
    grid = np.stack(np.meshgrid(middle, middle, [0.1, 0.3, 0.6, 0.9], [0.1, 0.5, 0.9]), axis=-1)
    total = np.exp(parzen.log_density(grid.reshape(-1, 4))).sum() / 200**2
    assert total == pytest.approx(1.0, abs=1e-3)


def test_an_axis_that_a_component_lacks_is_uniform_and_one_that_the_point_lacks_does_not_count():
    missing = POINTS.copy()
    missing[:, [1, 2]] = np.nan
    parzen = Parzen(AXES, missing, WEIGHTS, WIDTHS)
    point = np.array([[0.3, 0.4, 0.1, 0.5]])
    without = np.array([[0.3, np.nan, np.nan, 0.5]])
    assert parzen.log_density(point)[0] == pytest.approx(parzen.log_density(without)[0] - np.log(4))


def test_narrow_kernels_far_away_are_exact():
    axes = axes_of(Space({"x": Float(0, 1)}))
    parzen = Parzen(axes, np.array([[0.0]]), np.array([1 - 1e-12, 1e-12]), np.array([1e-3]))
    assert parzen.log_density(np.array([[1.0]]))[0] == pytest.approx(np.log(1e-12))
    assert parzen.log_density(np.array([[1e-3]]))[0] == pytest.approx(
        np.log(2) + norm.logpdf(1.0) - np.log(1e-3), abs=1e-6
    )


def test_draws_follow_the_density():
    parzen = Parzen(AXES, POINTS, WEIGHTS, WIDTHS)
    drawn = parzen.draw(20_000, np.random.default_rng(3))
    assert drawn.shape == (20_000, 4)

    def cumulated(places):
        parts = [
            weight * truncnorm.cdf(places, -centre / 0.1, (1 - centre) / 0.1, centre, 0.1)
            for weight, centre in zip(WEIGHTS, POINTS[:, 0], strict=False)
        ]
        return sum(parts) + WEIGHTS[2] * places

    assert kstest(drawn[:, 0], cumulated).pvalue > 0.001
    counts = np.bincount((drawn[:, 3] * 3).astype(int), minlength=3)
    other = 0.4 / 3
    expected = [0.3 * 0.6 + 0.8 * other, 0.5 * 0.6 + 0.8 * other, 0.8 * other]
    assert chisquare(counts, 20_000 * (np.array(expected) + 0.2 / 3)).pvalue > 0.001


def test_draws_of_an_axis_that_a_component_lacks_are_uniform():
    parzen = Parzen(AXES, np.full((1, 4), np.nan), np.array([0.9, 0.1]), WIDTHS)
    drawn = parzen.draw(5000, np.random.default_rng(4))
    assert kstest(drawn[:, 0], "uniform").pvalue > 0.001
    assert chisquare(np.bincount((drawn[:, 2] * 4).astype(int), minlength=4)).pvalue > 0.001


def test_kernels_of_few_values_sum_to_one_and_fall_with_the_distance():
    number, category = AXES.tables
    kernel = np.exp(log_kernel(number, 0.15))
    np.testing.assert_allclose(kernel.sum(axis=1), 1.0)
    assert (np.diff(kernel[0]) < 0).all()
    kernel = np.exp(log_kernel(category, 0.3))
    np.testing.assert_allclose(kernel.sum(axis=1), 1.0)
    assert kernel[0].tolist() == pytest.approx([0.8, 0.1, 0.1])
    assert np.isfinite(log_kernel(category, 0.0)).all()
