import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightning_tune.curves.features import LARGEST, see

STEPS = np.arange(1.0, 13.0)
CURVE = 1.0 - STEPS**-0.7 + 0.01 * np.random.default_rng(0).standard_normal(12)


@settings(max_examples=30, deadline=None)
@given(factor=st.floats(1e-6, 1e6))
def test_the_unit_of_the_metric_does_not_matter(factor: float):
    ours, theirs = (see(STEPS, scale * CURVE[None], np.array([40.0])) for scale in (1.0, factor))
    np.testing.assert_allclose(ours.columns, theirs.columns, atol=1e-5)


def test_the_unit_of_time_does_not_matter():
    """Reports every fifth epoch are a curve of as many reports."""
    ours, theirs = (see(scale * STEPS, CURVE[None], scale * np.array([40.0])) for scale in (1.0, 5.0))
    np.testing.assert_allclose(ours.columns, theirs.columns, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    values=arrays(np.float64, (3, 7), elements=st.floats(-1e30, 1e30)),
    end=st.floats(8, 1e6),
)
def test_any_finite_curve_has_finite_features(values, end: float):
    found = see(STEPS[:7], values, np.array([end]))
    assert np.isfinite(found.columns).all()
    assert np.abs(found.columns).max() <= LARGEST
    assert (found.unit > 0).all()


def test_curves_are_seen_one_by_one():
    curves = np.stack([CURVE, CURVE[::-1], np.zeros(12)])
    together = see(STEPS, curves, np.array([20.0, 40.0])).columns
    for place in range(3):
        alone = see(STEPS, curves[[place]], np.array([20.0, 40.0])).columns[0]
        np.testing.assert_allclose(together[place], alone, atol=1e-9)


def test_one_report_is_enough():
    found = see(np.array([3.0]), np.array([[0.5], [0.0]]), np.array([30.0]))
    assert found.columns.shape[:2] == (2, 1)
    assert np.isfinite(found.columns).all()
