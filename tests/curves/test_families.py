import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.curves.families import FAMILIES, Family

E = math.e
POINTS = {
    "pow3": (0.9, 0.5, 0.7),
    "pow4": (0.9, 0.5, 0.4, 0.7),
    "log_log_linear": (0.3, 1.4),
    "log_power": (0.8, 1.2, -0.9),
    "mmf": (0.9, 0.1, 0.2, 1.1),
    "janoschek": (0.9, 0.1, 0.2, 0.8),
    "weibull": (0.9, 0.1, 0.2, 0.8),
    "exp3": (0.9, -0.5, 0.1),
    "exp4": (0.9, 0.3, -0.2, 0.6),
    "inverse_log": (0.9, 0.2),
    "vapour_pressure": (-0.2, -0.5, 0.01),
    "hill": (0.9, 1.1, 4.0),
}
"""Parameters under which each looks like a learning curve."""


@pytest.mark.parametrize(
    ("name", "theta", "step", "value"),
    [
        ("pow3", (1.0, 0.6, 0.5), 4, 0.7),  # 1 - 0.6 / 2
        ("pow4", (1.0, 2.0, 1.0, 2.0), 4, 1 - 1 / 81),
        ("log_log_linear", (1.0, E - 1.0), E, 1.0),  # log(1 + e - 1)
        ("log_power", (0.8, 0.0, 1.0), 3, 0.2),  # 0.8 / (1 + 3)
        ("mmf", (1.0, 0.0, 0.5, 2.0), 4, 0.8),  # 1 - 1 / (1 + 4)
        ("janoschek", (1.0, 0.5, math.log(2) / 3, 1.0), 3, 0.75),
        ("weibull", (1.0, 0.0, 0.25, 3.0), 4, 1 - 1 / E),
        ("exp3", (1.0, -1.0, math.log(2)), 3, 0.875),
        ("exp4", (1.0, math.log(3), 0.0, 0.5), 4, 1 - 1 / 9),
        ("inverse_log", (1.0, 0.5), E - 1.0, 0.5),
        ("vapour_pressure", (0.0, 0.0, -1.0), 5, 0.2),
        ("hill", (0.9, 2.0, 3.0), 3, 0.45),
    ],
)
def test_worked_values(name: str, theta: tuple[float, ...], step: float, value: float):
    assert FAMILIES[name].value([step], theta)[0] == pytest.approx(value, abs=1e-14)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@given(data=st.data())
def test_gradients_are_finite_differences(family: Family, data):
    factors = [data.draw(st.floats(0.5, 2.0)) for _ in family.parameters]
    theta = np.array(POINTS[family.name]) * factors
    steps = np.array([1.0, 2.5, 10.0, 200.0])
    moves = 1e-6 * np.eye(len(theta))
    differences = np.stack(
        [(family.value(steps, theta + move) - family.value(steps, theta - move)) / 2e-6 for move in moves],
        axis=-1,
    )
    assert family.contains(theta)
    np.testing.assert_allclose(family.gradient(steps, theta), differences, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_many_curves_at_once_are_each_by_itself(family: Family):
    thetas = np.array(POINTS[family.name]) * np.array([[1.0], [1.1], [0.9]])
    steps = np.arange(1.0, 8.0)
    assert family.value(steps, thetas).shape == (3, 7)
    assert family.gradient(steps, thetas).shape == (3, 7, len(family.parameters))
    for theta, curve in zip(thetas, family.value(steps, thetas), strict=True):
        np.testing.assert_array_equal(family.value(steps, theta), curve)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_curves_are_monotonous_and_finite_far_out(family: Family):
    """Under the parameters of a learning curve: none oscillates, none overflows."""
    curve = family.value(np.geomspace(1, 1e9, 200), POINTS[family.name])
    assert np.isfinite(curve).all()
    assert (np.diff(curve) >= -1e-12).all()


def test_parameters_out_of_bounds_are_told():
    family = FAMILIES["weibull"]
    inside, outside = (0.9, 0.1, 0.2, 0.8), (0.9, 0.1, -0.2, 0.8)
    assert family.contains([inside, outside]).tolist() == [True, False]


def test_a_wrong_number_of_parameters_names_them():
    with pytest.raises(
        ValueError, match=r"`theta` of pow3 must have 3 numbers .* \(c, a, alpha\), got the shape \(2,\)"
    ):
        FAMILIES["pow3"].value([1.0], [1.0, 2.0])
