import numpy as np
import pytest
from scipy.stats import multivariate_t

from lightning_tune.curves.conjugate import SHAPE, forecasts

UNIT = 0.3

TIMES = np.array([1.0, 2.0, 3.0, 5.0, 8.0])
COUNTS = np.array([1.0, 1.0, 2.0, 1.0, 3.0])
AT = 20.0
ALL = np.append(TIMES, AT)
SHAPES = np.stack([1 - ALL**-0.5, 1 - np.exp(-ALL / 4), np.log(ALL)])


def differences(shape, size: float, drift: float):
    """The scale matrix of the differences of neighbours, the one to come last: no level is left in them."""
    clock = np.log(ALL + 1)
    noise = np.diag(np.append(1 / COUNTS, 1.0))
    values = size**2 * np.outer(shape, shape) + drift * np.minimum.outer(clock, clock) + noise
    return np.diff(np.diff(values, axis=0), axis=1) * UNIT**2


@pytest.mark.parametrize("size", [0.5, 20.0])
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_the_posterior_is_that_of_a_multivariate_student_t(size: float, drift: float):
    """Independent of the algebra: the differences of all values are jointly Student-t; condition them."""
    values = np.random.default_rng(0).standard_normal((4, 5)) * [[1], [1], [0.1], [5]]
    (found,) = forecasts(TIMES, values, COUNTS, AT, SHAPES, sizes=[size], units=[UNIT], drift=drift)
    known, start = np.diff(values, axis=1), 2 * SHAPE
    for place, shape in enumerate(SHAPES):
        matrix = differences(shape, size, drift)
        seen, cross = matrix[:-1, :-1], matrix[:-1, -1]
        distances = np.einsum("ij,jk,ik->i", known, np.linalg.inv(seen), known)
        freedom = start + len(seen)
        left = matrix[-1, -1] - cross @ np.linalg.solve(seen, cross)
        mean = values[:, -1] + known @ np.linalg.solve(seen, cross)
        np.testing.assert_allclose(found.mean[:, place], mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.scale[:, place], np.sqrt((start + distances) / freedom * left))
        assert found.freedom == freedom


def test_the_evidence_is_the_density_of_the_differences():
    values = np.random.default_rng(1).standard_normal((3, 5)).cumsum(axis=1)
    found = {
        (size, drift): found.log_evidence
        for drift in (0.0, 0.3)
        for size, found in zip(
            (0.5, 20.0),
            forecasts(TIMES, values, COUNTS, AT, SHAPES, sizes=(0.5, 20.0), units=[UNIT], drift=drift),
            strict=True,
        )
    }
    for (size, drift), evidence in found.items():
        for place, shape in enumerate(SHAPES):
            density = multivariate_t.logpdf(
                np.diff(values, axis=1), shape=differences(shape, size, drift)[:-1, :-1], df=2 * SHAPE
            )
            offset = evidence[:, place] - density
            assert offset == pytest.approx(np.full(3, found[0.5, 0.0][0, 0] - _first(values)), abs=1e-9)


def _first(values) -> float:
    matrix = differences(SHAPES[0], 0.5, 0.0)[:-1, :-1]
    return float(multivariate_t.logpdf(np.diff(values, axis=1)[0], shape=matrix, df=2 * SHAPE))


def test_a_curve_of_the_shape_is_continued():
    values = (3.0 - 2.0 * SHAPES[:, :-1]) * 100
    (found,) = forecasts(TIMES, values, np.ones(5), AT, SHAPES, sizes=[1000.0], units=[UNIT], drift=0.0)
    np.testing.assert_allclose(np.diag(found.mean), (3.0 - 2.0 * SHAPES[:, -1]) * 100, rtol=1e-3)
    assert (found.log_evidence.argmax(axis=1) == [0, 1, 2]).all()


def test_one_report_leaves_everything_open():
    (found,) = forecasts(
        np.array([1.0]),
        np.zeros((1, 1)),
        np.ones(1),
        9.0,
        SHAPES[:, [0, -1]],
        sizes=[5.0],
        units=[UNIT],
        drift=0.1,
    )
    assert np.isfinite(found.mean).all()
    assert (found.scale > 1.0).all()


def test_the_evidence_compares_scales_of_the_noise():
    """Between two of them it differs as the densities of the differences do."""
    values = np.random.default_rng(2).standard_normal((3, 5))
    found = forecasts(TIMES, values, COUNTS, AT, SHAPES, sizes=[2.0], units=(1.0, 0.01), drift=0.0)
    wide, narrow = (each.log_evidence for each in found)
    matrix = differences(SHAPES[1], 2.0, 0.0)[:-1, :-1] / UNIT**2
    known = np.diff(values, axis=1)
    expected = [multivariate_t.logpdf(known, shape=matrix * unit**2, df=2 * SHAPE) for unit in (1.0, 0.01)]
    np.testing.assert_allclose(wide[:, 1] - narrow[:, 1], expected[0] - expected[1])
