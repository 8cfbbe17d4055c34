"""The first points, before there is anything to model: spread over each axis and over the cube.

A greedy Latin hypercube: of some candidates, each drawn from the least used strata of every axis, the one
farthest from all points so far. So baselines and trials that came from elsewhere are part of the design.
"""

import numpy as np

from lightning_tune.search.gp.belief import Believed
from lightning_tune.search.gp.kernel import Matrix, Vector
from lightning_tune.search.gp.layout import Layout

CANDIDATES = 128


def num_starts(axes: int) -> int:
    """Return how many trials come before the model, by the number of axes."""
    return min(4 + axes, 12)


def candidates(
    layout: Layout,
    tried: Matrix,
    strata: int,
    rng: np.random.Generator,
    belief: Believed | None = None,
    number: int = CANDIDATES,
) -> Matrix:
    """Return points for the next place of the design, the farthest of `number` from all tried ones first.

    The first place is the middle of the space: who sets bounds tends to set them around what is likely. With
    a belief it is the belief's centre, and every other one is drawn from it.
    """
    drawn = np.stack(
        [_fill(layout, axis, tried[:, axis], strata, number, rng) for axis in range(layout.axes)], axis=1
    )
    if belief is not None and len(tried) % 2 == 0:
        drawn = belief.draw(drawn, rng) if len(tried) else belief.centre(drawn)
    elif not len(tried):
        drawn[0, ~layout.unordered] = 0.5
    points = layout.settle(drawn)
    if not len(tried):
        return points
    old, new = layout.features(tried), layout.features(points)
    apart = ((new[:, None, :] - old[None, :, :]) ** 2).sum(2).min(1)
    return points[np.argsort(-apart, kind="stable")]


def _fill(
    layout: Layout, axis: int, tried: Vector, strata: int, number: int, rng: np.random.Generator
) -> Vector:
    """Draw places on one axis, each from one of its least used strata."""
    places = layout.places[axis]
    if places is not None:
        strata = len(places) if layout.unordered[axis] else min(strata, len(places))
    used = np.minimum((tried[~np.isnan(tried)] * strata).astype(np.int64), strata - 1)
    counts = np.bincount(used, minlength=strata)
    free = np.flatnonzero(counts == counts.min())
    return np.asarray((rng.choice(free, size=number) + rng.random(number)) / strata)
