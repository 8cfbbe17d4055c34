from dataclasses import replace

import numpy as np
import pytest

from lightning_tune.core.pareto import non_dominated
from lightning_tune.core.space import Float, Space
from lightning_tune.search import RandomSearch
from lightning_tune.search.gp.acquisition import Acquisition
from lightning_tune.search.gp.data import see
from lightning_tune.search.gp.hypervolume import HypervolumeImprovement
from lightning_tune.search.gp.layout import layout_of
from lightning_tune.search.gp.several import ANCHORS, acquire_front, reference_point
from lightning_tune.testing.functions import run_function

CUBE = Space({"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1)})


def spheres(config, step):
    """Return the squared distances to corners of the cube."""
    point = np.array([config["x"], config["y"], config["z"]])
    return tuple(float(((point - corner) ** 2).sum()) for corner in np.eye(3))


def pair(config, step):
    return spheres(config, step)[:2]


def seen_of(history, objectives: int):
    layout = layout_of(CUBE)
    return layout, [see(layout, history, index) for index in range(objectives)]


def acquired(curve, objectives: int, trials: int = 20, seed: int = 0):
    history = run_function(CUBE, RandomSearch(), curve, max_trials=trials, mode=["min"] * objectives)
    layout, seen = seen_of(history, objectives)
    rng = np.random.default_rng(seed)
    return seen, *acquire_front(layout, seen, noise_sds=[None] * objectives, belief=None, rng=rng)


@pytest.mark.parametrize(("curve", "objectives"), [(pair, 2), (spheres, 3)])
def test_up_to_three_objectives_are_improved_in_hypervolume(curve, objectives: int):
    """What would widen the front is worth more than what it dominates."""
    _, acquisition, _ = acquired(curve, objectives, trials=30)
    assert isinstance(acquisition, HypervolumeImprovement)
    inside = acquisition(np.array([[0.5, 0.4, 0.1], [0.3, 0.5, 0.0]]))
    outside = acquisition(np.array([[0.0, 0.0, 1.0] if objectives == 2 else [1.0, 1.0, 1.0]]))
    assert inside.max() > outside[0] + 1.0


def test_four_objectives_are_scalarised_with_weights_by_lot():
    def four(config, step):
        return (*spheres(config, step), config["x"] + config["y"] + config["z"])

    values = []
    for seed in (0, 0, 1):
        _, acquisition, anchors = acquired(four, 4, seed=seed)
        assert isinstance(acquisition, Acquisition)
        assert len(anchors)
        values.append(float(acquisition(np.full((1, 3), 0.4))[0]))
    assert values[0] == values[1] != values[2]


def test_anchors_are_of_the_front_of_what_was_tried():
    seen, _, anchors = acquired(pair, 2, trials=40)
    points = seen[0].rows.points
    assert 2 < len(anchors) <= ANCHORS
    assert all((points == anchor).all(axis=1).any() for anchor in anchors)
    costs = np.stack([each.rows.costs for each in seen], axis=1)
    front = points[non_dominated(costs)]
    shared = sum(bool((front == anchor).all(axis=1).any()) for anchor in anchors)
    assert shared >= min(len(anchors), len(front)) - 1  # a posterior mean may differ a little


def test_a_running_trial_takes_its_own_improvement_away():
    history = run_function(CUBE, RandomSearch(), pair, max_trials=20, mode=["min", "min"])
    layout, seen = seen_of(history, 2)

    def worth(pending):
        waiting = [replace(each, pending=pending) for each in seen]
        acquisition, _ = acquire_front(
            layout, waiting, noise_sds=[0.0, 0.0], belief=None, rng=np.random.default_rng(0)
        )
        return acquisition(np.array([[0.55, 0.45, 0.0], [0.0, 1.0, 0.0]]))

    alone, beside = worth(np.empty((0, 3))), worth(np.array([[0.55, 0.45, 0.0]]))
    assert beside[0] < alone[0] - 1.0
    assert abs(beside[1] - alone[1]) < abs(beside[0] - alone[0])


def test_the_reference_lies_a_tenth_of_the_range_beyond_the_front():
    costs = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 0.0], [9.0, 9.0]])
    np.testing.assert_allclose(reference_point(costs), [3.3, 4.4])
    np.testing.assert_allclose(reference_point(costs[1:2]), [1.1, 2.1])
