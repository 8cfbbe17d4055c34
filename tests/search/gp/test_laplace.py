from dataclasses import replace

import numpy as np
import pytest

from lightning_tune.search.gp.fit import Evidence, fit_hyper
from lightning_tune.search.gp.laplace import curvature, draw_hyper

OWNER = np.array([0, 1])


def evidence_of(num: int) -> tuple[Evidence, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.random((num, 2))
    costs = np.sin(5.0 * rows[:, 0]) + 0.1 * rng.standard_normal(num)
    return Evidence.of(rows, OWNER, costs, None), rows


def draws_of(num: int, number: int):
    """Return evidence, its mode and draws around that."""
    evidence, rows = evidence_of(num)
    mode = fit_hyper(rows, OWNER, evidence.costs, None)
    evidence, rng = replace(evidence, smooth=mode.smooth), np.random.default_rng(1)
    return evidence, mode, [draw_hyper(evidence, mode, rng) for _ in range(number)]


def test_the_curvature_equals_second_differences_of_the_value():
    evidence, _ = evidence_of(15)
    theta = evidence.start() + 0.2
    matrix = curvature(evidence, theta)
    np.testing.assert_allclose(matrix, matrix.T)
    for one, first in enumerate(np.eye(4) * 1e-3):
        for other, second in enumerate(np.eye(4) * 1e-3):
            corners = [
                evidence(theta + a * first + b * second)[0] for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            numeric = (corners[0] - corners[1] - corners[2] + corners[3]) / 4e-6
            assert matrix[one, other] == pytest.approx(numeric, rel=1e-2, abs=1e-2)


def test_draws_lie_around_the_mode_within_the_bounds_and_have_its_kernel():
    evidence, mode, drawn = draws_of(40, 400)
    thetas = np.array([evidence.theta(hyper) for hyper in drawn])
    low, high = np.array(evidence.bounds()).T
    assert ((thetas >= low - 1e-9) & (thetas <= high + 1e-9)).all()
    assert {hyper.smooth for hyper in drawn} == {mode.smooth}
    assert np.median(thetas[:, 0]) == pytest.approx(evidence.theta(mode)[0], abs=0.1)


def test_what_the_data_leave_open_varies_most():
    """The second axis does not matter: its length may be anything that is long."""
    _, _, drawn = draws_of(40, 200)
    doubts = np.log([hyper.lengths for hyper in drawn]).std(axis=0)
    assert doubts[1] > 1.5 * doubts[0]
