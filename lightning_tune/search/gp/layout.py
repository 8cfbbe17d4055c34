"""How a point of the unit cube looks to the Gaussian process: columns in which distance means dissimilarity.

A number is a column. A choice is one column an option, 1/sqrt(2) at the one taken, so that two options are 1
apart. A number that exists only under an option lies on an arc of one radian around the place of those that
lack it (the arc kernel of Swersky et al. 2013): all its values are 1 from inactive, and 0 to 0.96 from one
another. So any kernel of the Euclidean distance is a valid kernel on a conditional space.

Notation: `points` (num, axes), NaN where inactive; `features` (num, columns); `owner[c]` is the axis of a
column.
"""

from collections.abc import Iterable
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from lightning_tune.core.encode import Encoding
from lightning_tune.core.nodes import Node
from lightning_tune.core.space import Space

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
FINE = 512
"""An axis with more values than this is moved as a continuous one, and rounded when it is decoded."""


class Layout:
    """The columns of a space.

    Args:
        encoding: the space as a unit cube.
        loose: axes that may be missing from data although they always exist (data of another space).

    Attributes:
        encoding: the space as a unit cube.
        axes: the number of axes.
        owner: (columns,), the axis that each column belongs to.
        places: for each axis the places of its values, ascending; None for a continuous one.
        unordered: (axes,), whether an axis is a choice without order.
        continuous: (axes,), whether an axis is moved by its gradient.
    """

    def __init__(self, encoding: Encoding, loose: Iterable[int] = ()) -> None:
        self.encoding = encoding
        self.axes = encoding.size
        self._parents = _parents(encoding.space.nodes)
        self.unordered = np.array([kind == "categorical" for kind in encoding.kinds], dtype=np.bool_)
        self.places = [_places(encoding, axis) for axis in range(self.axes)]
        self.continuous = np.array([places is None for places in self.places], dtype=np.bool_)
        self._options = [encoding.num_values(axis) or 0 for axis in range(self.axes)]
        self._bent = np.zeros(self.axes, dtype=np.bool_)
        self._bent[[*self._parents, *loose]] = True
        self.owner = np.repeat(np.arange(self.axes), [self._width(axis) for axis in range(self.axes)])

    @cached_property
    def all_points(self) -> Matrix | None:
        """Every point of a small finite space, of shape (num, axes); None where there are over `FINE`."""
        size = self.encoding.space.cardinality
        if size is None or size > FINE:
            return None
        return np.array([self.encoding.encode(config) for config in self.encoding.space.grid(size)])

    def settle(self, points: Matrix) -> Matrix:
        """Return points at the nearest values of their axes, NaN where an axis does not exist."""
        settled = np.clip(np.where(np.isnan(points), 0.5, points), 0.0, 1.0)
        for axis, places in enumerate(self.places):
            if places is not None:
                settled[:, axis] = places[_nearest(places, settled[:, axis])]
        taken = settled.copy()
        for axis, (parent, option) in self._parents.items():  # parents come before their children
            lacks = np.isnan(taken[:, parent]) | (self._option(parent, taken[:, parent]) != option)
            taken[lacks, axis] = np.nan
        return taken

    def starved(self, tried: Matrix) -> tuple[int, float] | None:
        """Return the choice and the place of its option that brings hyperparameters and was tried too rarely.

        Each such option has a right to a little more than the square root of the trials in which its choice
        exists, but to no more than half of an equal share: a few bad values of what it brings must not write
        it off. None where all have had theirs.
        """
        for axis in sorted({parent for parent, _ in self._parents.values()}):
            places = tried[~np.isnan(tried[:, axis]), axis]
            counts = np.bincount(self._option(axis, places), minlength=self._options[axis])
            least = min(1.25 * len(places) ** 0.5, len(places) / (2 * len(counts)))
            bringing = [option for parent, option in self._parents.values() if parent == axis]
            rarest = min(bringing, key=lambda option: (counts[option], option))
            if counts[rarest] < least:
                return axis, (rarest + 0.5) / len(counts)
        return None

    def hold(self, points: Matrix, axis: int, place: float, rng: np.random.Generator) -> Matrix:
        """Return points moved to a place on one axis; an axis that came to exist is drawn."""
        moved = np.where(np.isnan(points), rng.random(points.shape), points)
        moved[:, axis] = place
        return self.settle(moved)

    def features(self, points: Matrix) -> Matrix:
        """Return the columns of points, of shape (num, columns)."""
        return np.concatenate([self._columns(axis, points[:, axis]) for axis in range(self.axes)], axis=1)

    def slopes(self, points: Matrix) -> Matrix:
        """Return the derivative of each column by its axis, of shape (num, columns); 0 for a choice."""
        return np.concatenate([self._slopes(axis, points[:, axis]) for axis in range(self.axes)], axis=1)

    def _width(self, axis: int) -> int:
        if self.unordered[axis]:
            return self._options[axis] + int(self._bent[axis])
        return 2 if self._bent[axis] else 1

    def _option(self, axis: int, places: Vector) -> Integers:
        number = self._options[axis]
        whole = np.where(np.isnan(places), 0.0, places)
        index: Integers = np.minimum((whole * number).astype(np.int64), number - 1)
        return index

    def _columns(self, axis: int, places: Vector) -> Matrix:
        lacks = np.isnan(places)
        if self.unordered[axis]:
            taken = np.where(lacks, self._options[axis], self._option(axis, places))
            hot: Matrix = (taken[:, None] == np.arange(self._width(axis))) * np.sqrt(0.5)
            return hot
        if not self._bent[axis]:
            return places[:, None]
        angle = np.where(lacks, 0.0, places - 0.5)
        return np.where(lacks[:, None], 0.0, np.stack([np.sin(angle), np.cos(angle)], axis=1))

    def _slopes(self, axis: int, places: Vector) -> Matrix:
        if self.unordered[axis]:
            return np.zeros((len(places), self._width(axis)))
        if not self._bent[axis]:
            return np.ones((len(places), 1))
        lacks = np.isnan(places)
        angle = np.where(lacks, 0.0, places - 0.5)
        return np.where(lacks[:, None], 0.0, np.stack([np.cos(angle), -np.sin(angle)], axis=1))


@lru_cache(maxsize=16)
def layout_of(space: Space, loose: frozenset[int] = frozenset()) -> Layout:
    """Return the layout of a space; made once."""
    return Layout(Encoding(space), loose)


def _parents(nodes: Iterable[Node]) -> dict[int, tuple[int, int]]:
    """Return for each conditional axis the axis of its choice and the option it exists under."""
    found: dict[int, tuple[int, int]] = {}
    for node in nodes:
        for option, branch in enumerate(node.branches):
            found.update({inner.axis: (node.axis, option) for inner in branch if inner.axis >= 0})
            found.update(_parents(branch))
    return found


def _places(encoding: Encoding, axis: int) -> Vector | None:
    number = encoding.num_values(axis)
    if number is None or (number > FINE and encoding.kinds[axis] not in ("categorical", "ordered")):
        return None
    return encoding.positions(axis, number)


def _nearest(places: Vector, wanted: Vector) -> Integers:
    """Return the index of the nearest of ascending places to each of some."""
    middles = (places[1:] + places[:-1]) / 2
    return np.searchsorted(middles, wanted)
