"""Parzen estimators over the unit cube: a mixture of one kernel a trial, and of the uniform density.

The kernels are products over the axes (multivariate: a component is a whole configuration, so that what
goes together stays together): a Gaussian truncated to [0, 1] on a numeric axis, its integral over each
value's bin where there are few values, and Aitchison & Aitken's (1976) on a categorical one. Where an axis
is active at a point but not in a component, that component says nothing about it: the uniform density.

The logarithm of every such kernel is an inner product of features of the point and features of the
component, so all densities are one matrix product.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lightning_tune.search.axes import Axes, Table
from lightning_tune.search.ledger import Matrix, Vector

_FLOOR = 1e-12
"""The least probability of a value under a kernel, before it is scaled to sum to 1."""


@dataclass(frozen=True)
class Parzen:
    """A mixture of a kernel at each point, and of the uniform density.

    Densities are with respect to the unit cube; on an axis with few values they are probabilities.

    Args:
        axes: those of the space.
        points: (num_points, num_axes), the components, NaN where inactive.
        weights: (num_points + 1,), summing to 1; the last is that of the uniform density.
        widths: (num_axes,), the bandwidth of each numeric axis, and the chance that a categorical one is
            drawn anew.
    """

    axes: Axes
    points: Matrix
    weights: Vector
    widths: Vector

    def log_density(self, points: Matrix) -> Vector:
        """Return the logarithm of the density at points (NaN where inactive), shape (num_points,)."""
        logs = self._left(points) @ self._right.T + np.log(self.weights[:-1])
        uniform = self._log_uniform(points) + np.log(self.weights[-1])
        top = np.maximum(logs.max(axis=1, initial=-np.inf), uniform)
        total = np.exp(logs - top[:, None]).sum(axis=1) + np.exp(uniform - top)
        return np.asarray(np.log(total) + top)

    def draw(self, number: int, rng: np.random.Generator) -> Matrix:
        """Draw points, (number, num_axes); every axis gets a value, whether it is active or not."""
        chosen = rng.choice(len(self.weights), size=number, p=self.weights)
        drawn = rng.random((number, self.axes.size))
        centres = np.full((number, self.axes.size), np.nan)
        inside = chosen < len(self.points)
        centres[inside] = self.points[chosen[inside]]
        self._draw_smooth(centres, drawn)
        for table, kernel in zip(self.axes.tables, self._kernels, strict=True):
            column = centres[:, table.axis]
            probabilities = np.where(
                np.isnan(column)[:, None], np.exp(table.log_uniform), np.exp(kernel)[table.index(column)]
            )
            cumulated = probabilities.cumsum(axis=1)
            index = (cumulated < drawn[:, table.axis, None] * cumulated[:, -1:]).sum(axis=1)
            drawn[:, table.axis] = table.centres[index]
        return drawn

    def _draw_smooth(self, centres: Matrix, drawn: Matrix) -> None:
        """Turn uniform numbers into draws from the truncated Gaussians of known centres, in place."""
        from scipy.special import ndtr, ndtri

        smooth = self.axes.smooth
        middle, widths = centres[:, smooth], self.widths[smooth]
        low, high = ndtr(-middle / widths), ndtr((1.0 - middle) / widths)
        places = middle + widths * ndtri(low + drawn[:, smooth] * (high - low))
        drawn[:, smooth] = np.where(np.isnan(middle), drawn[:, smooth], np.clip(places, 0.0, 1.0))

    def _left(self, points: Matrix) -> Matrix:
        """Return the features of points, (num_points, num_features)."""
        scaled = points[:, self.axes.smooth] / self.widths[self.axes.smooth]
        active = ~np.isnan(scaled)
        scaled = np.where(active, scaled, 0.0)
        blocks = [scaled, -0.5 * scaled**2, active.astype(np.float64)]
        for table, kernel in zip(self.axes.tables, self._kernels, strict=True):
            column = points[:, table.axis]
            index = table.index(column)
            block = np.concatenate([kernel.T[index], table.log_uniform[index, None]], axis=1)
            blocks.append(np.where(np.isnan(column)[:, None], 0.0, block))
        return np.concatenate(blocks, axis=1)

    @cached_property
    def _right(self) -> Matrix:
        """The features of the components, (num_components, num_features)."""
        from scipy.special import ndtr

        places, widths = self.points[:, self.axes.smooth], self.widths[self.axes.smooth]
        active = ~np.isnan(places)
        centre = np.where(active, places, 0.5)
        mass = ndtr((1.0 - centre) / widths) - ndtr(-centre / widths)
        constant = -0.5 * (centre / widths) ** 2 - np.log(mass * widths * math.sqrt(2 * math.pi))
        blocks = [
            np.where(active, centre / widths, 0.0),
            active.astype(np.float64),
            np.where(active, constant, 0.0),
        ]
        blocks += [_one_hot(table, self.points[:, table.axis]) for table in self.axes.tables]
        return np.concatenate(blocks, axis=1)

    @cached_property
    def _kernels(self) -> list[Matrix]:
        return [log_kernel(table, float(self.widths[table.axis])) for table in self.axes.tables]

    def _log_uniform(self, points: Matrix) -> Vector:
        total = np.zeros(len(points))
        for table in self.axes.tables:
            column = points[:, table.axis]
            total += np.where(np.isnan(column), 0.0, table.log_uniform[table.index(column)])
        return total


def log_kernel(table: Table, width: float) -> Matrix:
    """Return log P(value | value of the component) of an axis with few values, (num_values, num_values)."""
    number = len(table.centres)
    if table.categorical:
        kernel = np.full((number, number), width / number) + (1.0 - width) * np.eye(number) + _FLOOR
        return np.asarray(np.log(kernel / kernel.sum(axis=1, keepdims=True)))
    from scipy.special import ndtr

    kernel = np.diff(ndtr((table.edges[None, :] - table.centres[:, None]) / width), axis=1) + _FLOOR
    return np.asarray(np.log(kernel / kernel.sum(axis=1, keepdims=True)))


def _one_hot(table: Table, column: Vector) -> Matrix:
    """Return which value each component has, the last column where it has none, (num, num_values + 1)."""
    number = len(table.centres)
    block = np.zeros((len(column), number + 1))
    block[np.arange(len(column)), np.where(np.isnan(column), number, table.index(column))] = 1.0
    return block
