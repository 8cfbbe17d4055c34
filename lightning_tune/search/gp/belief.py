"""A user's belief about where good values lie (pi-BO, Hvarfner et al. 2022).

A belief is a normal density an axis of the unit cube, around a value; its logarithm is added to that of
expected improvement with a weight that falls as 1 / trials, so that data which disagree win.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_tune.core.nodes import Node, walk
from lightning_tune.core.plain import did_you_mean
from lightning_tune.errors import ArgumentError, SpaceError
from lightning_tune.search.gp.kernel import Matrix, Vector
from lightning_tune.search.gp.layout import Layout

WIDTH = 0.25
"""The standard deviation where none is given, as a share of the dimension's range."""
TRUST = 10.0
"""How many trials a belief weighs as much as."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Believed:
    """A belief over the axes of a layout.

    Attributes:
        layout: the space.
        centres: (axes,), the places believed in, NaN where there is no belief.
        widths: (axes,), standard deviations.
        weight: what the logarithm is multiplied by.
    """

    layout: Layout
    centres: Vector
    widths: Vector
    weight: float = 1.0

    def __call__(self, points: Matrix) -> tuple[Vector, Matrix]:
        """Return the weighted log density of points (num,), up to a constant, and its slopes (num, axes)."""
        apart = points - self.centres
        other = self.layout.unordered
        apart[:, other] = np.where(np.isnan(apart[:, other]), np.nan, np.abs(apart[:, other]) > 1e-9)
        scaled = np.where(np.isnan(apart), 0.0, apart / self.widths)
        slopes = np.where(other, 0.0, -scaled / self.widths)
        return -0.5 * self.weight * (scaled * scaled).sum(axis=1), self.weight * slopes

    def centre(self, places: Matrix) -> Matrix:
        """Return places with the believed axes at their centres."""
        return np.where(np.isnan(self.centres), places, self.centres)

    def draw(self, places: Matrix, rng: np.random.Generator) -> Matrix:
        """Return places with the believed axes drawn anew, reflected into the unit interval."""
        drawn = self.centres + self.widths * rng.standard_normal(places.shape)
        drawn = np.abs(np.mod(drawn + 1.0, 2.0) - 1.0)
        other = self.layout.unordered
        strays = rng.random(places.shape) < np.exp(-0.5 / self.widths**2)
        drawn = np.where(other, np.where(strays, places, self.centres), drawn)
        return np.where(np.isnan(self.centres), places, drawn)


def check_prior(prior: Mapping[str, Any]) -> None:
    """Refuse what can be told to be wrong without a space.

    Raises:
        ArgumentError: no mapping, or a width that is not a positive number.
    """
    if not isinstance(prior, Mapping):
        raise ArgumentError(
            f"`prior` must be a mapping from key to a value, or to (value, width), got {prior!r}."
        )
    for key, given in prior.items():
        _, width = _value_and_width(given)
        if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width < np.inf:
            raise ArgumentError(
                f"`prior[{key!r}]` must be a value or (value, width) with a positive width, a share of the "
                f"range (0.25 if it is left out), got {given!r}."
            )


def believe(layout: Layout, prior: Mapping[str, Any]) -> Believed:
    """Return the belief over a space.

    Raises:
        ArgumentError: a key that is not the space's, or a value that is not its dimension's.
    """
    centres, widths = np.full(layout.axes, np.nan), np.full(layout.axes, WIDTH)
    nodes = [node for node in walk(layout.encoding.space.nodes) if node.dimension is not None]
    keys = {node.key for node in nodes}
    for key, given in prior.items():
        if key not in keys:
            raise ArgumentError(f"`prior` names {key!r}, which the space lacks.{did_you_mean(key, keys)}")
        value, width = _value_and_width(given)
        places = {node.axis: place for node in nodes if node.key == key for place in _place(node, value)}
        if not places:
            owners = ", ".join(repr(node.dimension) for node in nodes if node.key == key)
            raise ArgumentError(f"`prior[{key!r}]` must be a value of {owners}, got {value!r}.")
        for axis, place in places.items():
            centres[axis], widths[axis] = place, width
    return Believed(layout=layout, centres=centres, widths=widths)


def _value_and_width(given: Any) -> tuple[Any, Any]:
    return given if isinstance(given, tuple) and len(given) == 2 else (given, WIDTH)


def _place(node: Node, value: Any) -> list[float]:
    """Return where a value lies on a node's axis: one place, or none where it is not a value of it."""
    dimension = node.dimension
    if dimension is None:
        return []
    try:
        checked = dimension.check(value, node.key)
    except SpaceError:
        return []
    return [dimension.to_unit(checked)]  # type: ignore[arg-type]  # its own value
