"""The axes of a space's unit cube as arrays: which are active where, which have few values, which branch."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lightning_tune.core import nodes
from lightning_tune.core.encode import Encoding
from lightning_tune.core.nodes import Node
from lightning_tune.core.space import Space
from lightning_tune.search.ledger import Indices, Mask, Matrix, Vector
from lightning_tune.search.observed import encoding_of

FEW = 16
"""Up to so many values a numeric axis has a probability for each; beyond, it counts as continuous."""


@dataclass(frozen=True, slots=True)
class Table:
    """An axis with few values.

    Attributes:
        axis: its number in the unit cube.
        centres: (num_values,), where the values lie in [0, 1].
        edges: (num_values + 1,), where their bins end.
        categorical: whether the values have no order.
    """

    axis: int
    centres: Vector
    edges: Vector
    categorical: bool

    @property
    def log_uniform(self) -> Vector:
        """The logarithm of each value's share of [0, 1], shape (num_values,)."""
        return np.log(np.diff(self.edges))

    def index(self, column: Vector) -> Indices:
        """Return which value each place is, shape of `column`; 0 where it is NaN."""
        filled = np.where(np.isnan(column), 0.0, column)
        return np.clip(np.searchsorted(self.edges, filled, side="right") - 1, 0, len(self.centres) - 1)


@dataclass(frozen=True, slots=True)
class _Below:
    """An axis that exists under one option of a choice."""

    axis: int
    parent: int
    option: int
    num_options: int


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes of a space by their kinds.

    Attributes:
        encoding: the map between configurations and the cube.
        smooth: the numbers of the continuous axes, and of numeric ones with many values.
        least: (num_smooth,), half the width of a value's bin; 0 of a continuous axis.
        tables: the others.
        branching: the numbers of the choices whose options bring axes.
    """

    encoding: Encoding
    smooth: Indices
    least: Vector
    tables: tuple[Table, ...]
    branching: Indices
    _below: tuple[_Below, ...]

    @property
    def size(self) -> int:
        """How many there are."""
        return self.encoding.size

    def active(self, points: Matrix) -> Mask:
        """Return which axes are active at points without NaN, (num_points, size)."""
        mask = np.ones(points.shape, dtype=np.bool_)
        for below in self._below:  # a parent stands before what is below it
            taken = _options(points[:, below.parent], below.num_options) == below.option
            mask[:, below.axis] = mask[:, below.parent] & taken
        return mask

    def masked(self, points: Matrix) -> Matrix:
        """Return points with NaN at their inactive axes."""
        return np.where(self.active(points), points, np.nan) if self._below else points

    def structure(self, points: Matrix) -> Indices:
        """Return the options that points take of the choices with branches, (num_points, num_branching).

        -1 where one is inactive. Points with the same row have the same axes.
        """
        columns = points[:, self.branching]
        numbers = np.array([self.encoding.num_values(int(axis)) or 1 for axis in self.branching])
        options = _options(np.where(np.isnan(columns), 0.0, columns), numbers)
        return np.where(np.isnan(columns), -1, options)


def _options(columns: Matrix, number: int | Indices) -> Indices:
    """Return which of `number` equal bins places lie in, as `bin_index` does."""
    options: Indices = np.minimum((columns * number).astype(np.int64), np.asarray(number) - 1)
    return options


@lru_cache(maxsize=16)
def axes_of(space: Space) -> Axes:
    """Return the axes of a space; made once."""
    encoding = encoding_of(space)
    smooth, least, tables = [], [], []
    for axis, kind in enumerate(encoding.kinds):
        number = encoding.num_values(axis)
        if number is not None and (kind == "categorical" or number <= FEW):
            tables.append(_table(encoding, axis, number))
        else:
            smooth.append(axis)
            least.append(0.0 if number is None else 0.5 / number)
    walked = list(nodes.walk(space.nodes))
    return Axes(
        encoding=encoding,
        smooth=np.array(smooth, dtype=np.int64),
        least=np.array(least, dtype=np.float64),
        tables=tuple(tables),
        branching=np.array([node.axis for node in walked if any(node.branches)], dtype=np.int64),
        _below=tuple(below for node in walked for below in _children(node)),
    )


def _table(encoding: Encoding, axis: int, number: int) -> Table:
    centres = encoding.positions(axis, number)
    edges = np.concatenate([[0.0], (centres[1:] + centres[:-1]) / 2, [1.0]])
    return Table(axis, centres, edges, encoding.kinds[axis] == "categorical")


def _children(node: Node) -> list[_Below]:
    return [
        _Below(child.axis, node.axis, option, len(node.branches))
        for option, branch in enumerate(node.branches)
        for child in branch
        if child.dimension is not None
    ]
