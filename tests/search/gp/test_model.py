import math

import numpy as np
import pytest

from lightning_tune.core.encode import Encoding
from lightning_tune.core.space import Float, Space
from lightning_tune.search.gp import model
from lightning_tune.search.gp.data import Rows, Seen
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.model import MODELLED, Modelled, acquire, draw

LAYOUT = Layout(Encoding(Space({"x": Float(0, 1), "y": Float(0, 1)})))


def bowl(points):
    return ((points - 0.3) ** 2).sum(axis=1)


def rows(num: int, levels: float = 1.0, seed: int = 0) -> Rows:
    points = np.random.default_rng(seed).random((num, 2))
    return Rows(points=points, levels=np.full(num, levels), costs=bowl(points), trials=np.arange(num))


def seen(data: Rows, pending=None) -> Seen:
    pending = np.empty((0, 2)) if pending is None else pending
    return Seen(tried=np.concatenate([data.points, pending]), rows=data, pending=pending)


def best_of(grid, data, **settings):
    defaults = {"earlier": (), "noise_sd": None, "belief": None, "rng": np.random.default_rng(0)}
    acquisition, anchors = acquire(LAYOUT, data, **{**defaults, **settings})
    return grid[acquisition(grid).argmax()], acquisition, anchors


GRID = np.stack(np.meshgrid(np.linspace(0, 1, 31), np.linspace(0, 1, 31)), axis=-1).reshape(-1, 2)


def test_it_looks_where_the_minimum_is():
    point, _, anchors = best_of(GRID, seen(rows(25)))
    assert np.abs(point - 0.3).max() < 0.1
    assert bowl(anchors).tolist() == sorted(bowl(anchors))


def test_a_pending_point_is_left_alone():
    """Where a trial runs, the improvement to be expected falls; there is a version of the data a fantasy."""
    data = rows(12)
    point, alone, _ = best_of(GRID, seen(data))
    _, beside, _ = best_of(GRID, seen(data, point[None, :]))
    assert beside(point[None, :])[0] < alone(point[None, :])[0] - 1.0
    assert sum(surrogate.alpha.shape[1] for surrogate in beside.surrogates) == model.FANTASIES


def test_small_budgets_teach_about_the_largest():
    """Twenty trials at a small budget, the best three at the large one: the minimum is found."""
    cheap = rows(20, levels=0.0)
    best = cheap.take(np.argsort(cheap.costs)[:3])
    data = Rows(
        points=np.concatenate([cheap.points, best.points]),
        levels=np.concatenate([cheap.levels, np.ones(3)]),
        costs=np.concatenate([cheap.costs + 0.5, best.costs]),
        trials=np.concatenate([cheap.trials, best.trials]),
    )
    point, acquisition, _ = best_of(GRID, seen(data))
    assert acquisition.context.tolist() == [1.0]
    assert np.abs(point - 0.3).max() < 0.15


def test_an_earlier_sweep_teaches_although_its_costs_lie_elsewhere():
    points = np.random.default_rng(5).random((40, 2))
    earlier = [(points, 100.0 + 7.0 * bowl(points))]
    point, acquisition, _ = best_of(GRID, seen(rows(3)), earlier=earlier)
    assert np.abs(point - 0.3).max() < 0.15
    assert acquisition.context.tolist() == pytest.approx([math.sqrt(0.5), 0.0])


def test_an_earlier_sweep_that_misleads_is_overruled():
    points = np.random.default_rng(5).random((40, 2))
    earlier = [(points, -bowl(points))]
    point, _, _ = best_of(GRID, seen(rows(20)), earlier=earlier)
    assert np.abs(point - 0.3).max() < 0.15


def test_a_failed_corner_is_left_alone():
    data = rows(30)
    costs = np.where(data.points[:, 0] < 0.5, math.inf, data.costs)
    failed = Rows(points=data.points, levels=data.levels, costs=costs, trials=data.trials)
    point, _, _ = best_of(GRID, seen(failed))
    assert point[0] > 0.4


def test_a_known_noise_is_used_in_the_objectives_unit():
    data = rows(20)
    modelled = Modelled(layout=LAYOUT, rows=data, earlier=(), noise_sd=0.1)
    assert math.sqrt(modelled.hyper().noise) * modelled.observations(data)[2] == pytest.approx(0.1)


def test_worth_is_averaged_over_hyperparameters_while_few_rows_leave_them_open():
    _, acquisition, _ = best_of(GRID, seen(rows(12)))
    lengths = [surrogate.hyper.lengths.tolist() for surrogate in acquisition.surrogates]
    assert len({tuple(one) for one in lengths}) == 4
    kernels = [surrogate.hyper.smooth for surrogate in acquisition.surrogates]
    assert kernels[0] == kernels[1] != kernels[2] == kernels[3]
    modelled = Modelled(layout=LAYOUT, rows=rows(12), earlier=(), noise_sd=None)
    assert lengths[0] == modelled.hyper().lengths.tolist()


def test_rows_around_the_best_do_not_change_what_costs_are_measured_in():
    """Fifty repetitions of one place count as one in mean and deviation."""
    spread = rows(30)
    jitter = 1e-4 * np.random.default_rng(0).random((50, 2))
    best = spread.points[[spread.costs.argmin()] * 50] + jitter
    gathered = Rows(
        points=np.concatenate([spread.points, best]),
        levels=np.ones(80),
        costs=np.concatenate([spread.costs, bowl(best)]),
        trials=np.arange(80),
    )
    scales = [
        Modelled(layout=LAYOUT, rows=data, earlier=(), noise_sd=None).observations(data)[2]
        for data in (spread, gathered)
    ]
    assert 0.5 < scales[1] / scales[0] < 2.0


def test_cost_is_bounded_in_a_long_sweep():
    data = rows(3000)
    point, acquisition, _ = best_of(GRID, seen(data))
    assert [len(surrogate.features) for surrogate in acquisition.surrogates] == [MODELLED]
    assert np.abs(point - 0.3).max() < 0.1


def test_fantasies_have_the_mean_and_the_covariance_of_the_posterior():
    covariance = np.array([[2.0, 1.2], [1.2, 1.0]])
    many = [
        draw(np.array([[1.0], [2.0]]), covariance, 0.0, np.random.default_rng(seed), 8)
        for seed in range(2000)
    ]
    np.testing.assert_allclose(np.mean(many, axis=(0, 2)), [1.0, 2.0], atol=1e-9)
    np.testing.assert_allclose(np.cov(np.concatenate(many, axis=1)), covariance, atol=0.06)
