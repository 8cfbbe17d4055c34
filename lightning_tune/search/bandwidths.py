"""How wide the kernels of a Parzen estimator are, and what each weighs: what matters most (Watanabe 2023).

The good trials' widths follow their own spread, axis by axis (Scott's rule), so that the search closes in;
the other trials' follow their number alone, since they only say where not to look.
"""

import numpy as np

from lightning_tune.search.axes import Axes
from lightning_tune.search.ledger import Mask, Matrix, Vector
from lightning_tune.search.parzen import Parzen

_LEAST = 0.01
_LEAST_REST = 0.05
_GOOD = 0.85
_REST = 0.17
_PRIOR_VARIANCE = 1 / 12
"""The variance of the uniform distribution, which counts as much as one trial."""
_NEIGHBOUR = 0.35
"""An ordered axis with few values has kernels of at least this share of the distance between two."""


def good_density(axes: Axes, points: Matrix, alike: bool = False) -> Parzen:
    """Return the density of the good trials, points of shape (num_points, num_axes), best first.

    They weigh less and less, unless all are as good: those of a front.
    """
    number = len(points)
    weights = np.log(number + 0.5) - np.log(np.arange(1, number + 1))  # those of CMA-ES (Hansen 2016)
    weights = np.ones(number) if alike else weights / weights.mean()
    active = ~np.isnan(points)
    widths = _GOOD * np.sqrt(_variance(points, active, weights)) * _shrink(active)
    return _parzen(axes, points, weights, np.maximum(widths, _LEAST))


def rest_density(axes: Axes, points: Matrix) -> Parzen:
    """Return the density of all other trials, points of shape (num_points, num_axes)."""
    widths = _REST * _shrink(~np.isnan(points))
    return _parzen(axes, points, np.ones(len(points)), np.maximum(widths, _LEAST_REST))


def _variance(points: Matrix, active: Mask, weights: Vector) -> Vector:
    """Return each axis's weighted variance, drawn towards the uniform one, shape (num_axes,)."""
    shares = weights[:, None] * active
    total = np.maximum(shares.sum(axis=0), 1e-9)
    filled = np.where(active, points, 0.0)
    mean = (shares * filled).sum(axis=0) / total
    variance = (shares * (filled - mean) ** 2).sum(axis=0) / total
    number = active.sum(axis=0)
    drawn: Vector = (number * variance + _PRIOR_VARIANCE) / (number + 1)
    return drawn


def _shrink(active: Mask) -> Vector:
    """Return n^(-1 / (num_axes + 4)) for the n points at which each axis is active, shape (num_axes,)."""
    number = np.maximum(active.sum(axis=0), 1).astype(np.float64)
    shrink: Vector = number ** (-1.0 / (active.shape[1] + 4))
    return shrink


def _parzen(axes: Axes, points: Matrix, weights: Vector, widths: Vector) -> Parzen:
    """Return the mixture in which the uniform density weighs as much as one trial."""
    number = (~np.isnan(points)).sum(axis=0)
    widths[axes.smooth] = np.maximum(widths[axes.smooth], axes.least)
    for table in axes.tables:
        values = len(table.centres)
        if table.categorical:
            widths[table.axis] = values / (max(int(number[table.axis]), 1) + values)
        else:
            widths[table.axis] = max(widths[table.axis], _NEIGHBOUR / values)
    mixed = np.append(weights, 1.0)
    return Parzen(axes, points, mixed / mixed.sum(), widths)
