"""`Encoding`: a space as the unit cube, for searchers that work with vectors.

Every dimension at every place of the space is one axis, so a key that several options bring has an axis under
each. An inactive axis is NaN in an encoded configuration and is not read when a vector is decoded.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from lightning_tune.core import nodes
from lightning_tune.core.choice import Choice
from lightning_tune.core.dimensions import Float
from lightning_tune.core.events import Config
from lightning_tune.core.nodes import Node, Path
from lightning_tune.core.space import Space
from lightning_tune.errors import SpaceError

Kind: TypeAlias = Literal["float", "int", "ordered", "categorical"]
Vector: TypeAlias = npt.NDArray[np.float64]


class Encoding:
    """The map between a space's configurations and [0, 1]^size.

    Args:
        space: the space.

    Attributes:
        space: the space.
        size: the number of axes, which is the number of dimensions over all branches.
        names: the key of each axis; a key that several options bring occurs once for each.
        labels: the same with the place: "momentum (optimizer='sgd')"; all different.
        paths: for each axis the options it exists under, (key, option) from the outermost in.
        kinds: "float", "int", "ordered" or "categorical" for each axis.

    Example:
        >>> from lightning_tune.core.space import Float, Space
        >>> encoding = Encoding(Space({"lr": Float(1e-4, 1e-2, log=True), "act": Choice(["relu", "gelu"])}))
        >>> encoding.encode({"lr": 1e-3, "act": "gelu"})
        array([0.5 , 0.75])
        >>> encoding.decode([0.0, 0.1])
        {'lr': 0.0001, 'act': 'relu'}
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        axes = [node for node in nodes.walk(space.nodes) if node.dimension is not None]
        self._dimensions = [node.dimension for node in axes if node.dimension is not None]
        self.size = len(axes)
        self.names: tuple[str, ...] = tuple(node.key for node in axes)
        self.labels: tuple[str, ...] = tuple(node.label for node in axes)
        self.paths: tuple[Path, ...] = tuple(node.path for node in axes)
        self.kinds: tuple[Kind, ...] = tuple(map(_kind, axes))

    def __repr__(self) -> str:
        return f"<Encoding of {', '.join(self.labels)}>"

    def num_values(self, axis: int) -> int | None:
        """Return how many values an axis has; None for a continuous one."""
        return self._dimensions[axis].num_values

    def positions(self, axis: int, points: int) -> Vector:
        """Return where the values of an axis lie in [0, 1]: all of them, or `points` evenly spaced ones.

        All where there are no more than `points`, and always for a choice. Shape (number,), ascending, all
        decoding to different values.
        """
        dimension = self._dimensions[axis]
        if isinstance(dimension, Choice):
            return (np.arange(dimension.num_values) + 0.5) / dimension.num_values
        values: Sequence[Any] = dimension.grid(points)
        return np.array([dimension.to_unit(value) for value in values], dtype=np.float64)

    def encode(self, config: Mapping[str, Any]) -> Vector:
        """Return a configuration as a vector of shape (size,), NaN where a dimension is inactive.

        Raises:
            SpaceError: the configuration is not one of the space; names the key.
        """
        checked = self.space.validate(config)
        vector = np.full(self.size, np.nan)

        def place(node: Node) -> None:
            # one class of dimension and its own values: `validate` has brought them together
            vector[node.axis] = node.dimension.to_unit(checked[node.key])  # type: ignore[union-attr]

        nodes.active(self.space.nodes, checked, place)
        return vector

    def decode(self, vector: npt.ArrayLike) -> Config:
        """Return the configuration at a point, clipped to [0, 1]; inactive axes are not read.

        Raises:
            SpaceError: the vector has another shape, or is NaN where a dimension is active.
        """
        config: Config = {}
        nodes.decode(self.space.nodes, self._checked(vector).tolist(), config)
        return config

    def active(self, point: npt.ArrayLike | Mapping[str, Any]) -> npt.NDArray[np.bool_]:
        """Return which axes are active at a vector or in a configuration, of shape (size,)."""
        config = self.space.validate(point if isinstance(point, Mapping) else self.decode(point))
        mask = np.zeros(self.size, dtype=np.bool_)

        def mark(node: Node) -> None:
            mask[node.axis] = True

        nodes.active(self.space.nodes, config, mark)
        return mask

    def _checked(self, vector: npt.ArrayLike) -> Vector:
        array = np.asarray(vector, dtype=np.float64)
        if array.shape != (self.size,):
            raise SpaceError(f"a vector of this space must have the shape ({self.size},), got {array.shape}.")
        return array


def _kind(node: Node) -> Kind:
    if isinstance(node.dimension, Choice):
        return "ordered" if node.dimension.ordered else "categorical"
    return "float" if isinstance(node.dimension, Float) else "int"
