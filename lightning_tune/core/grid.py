"""The grid of a space: every combination of evenly spaced values, addressed by number instead of stored.

The order is that of nested loops, the first key outermost; below each option of a choice run the keys that it
brings.
"""

from collections.abc import Iterator, Mapping, Sequence

from lightning_tune.core.choice import Choice
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.nodes import Node, walk
from lightning_tune.core.plain import copied, did_you_mean, show
from lightning_tune.errors import ArgumentError

DEFAULT_POINTS = 5


class Grid:
    """The configurations of a grid.

    Args:
        nodes: the space.
        points: values a numeric dimension, or a mapping from key to that number (5 for the keys it leaves
            out).

    Raises:
        ArgumentError: a number below 1, or a key that no numeric dimension of the space has.
    """

    def __init__(self, nodes: Sequence[Node], points: int | Mapping[str, int]) -> None:
        self._nodes = nodes
        self._points = _checked_points(nodes, points)
        self._sizes: dict[int, int] = {}
        self._values: dict[int, Sequence[JSON]] = {}
        self.size = self._measure(nodes)

    def __iter__(self) -> Iterator[Config]:
        index = 0
        while index < self.size:
            yield self.at(index)
            index += 1

    def at(self, index: int) -> Config:
        """Return one configuration by its place in the order."""
        config: Config = {}
        self._fill(self._nodes, index, self.size, config)
        return config

    def _number(self, node: Node) -> int:
        """Return the number of points for a numeric dimension."""
        return self._points if isinstance(self._points, int) else self._points.get(node.key, DEFAULT_POINTS)

    def _measure(self, nodes: Sequence[Node]) -> int:
        """Return the number of combinations of some nodes, and note that of every dimension on the way."""
        total = 1
        for node in nodes:
            dimension = node.dimension
            if dimension is None:
                continue
            if not isinstance(dimension, Choice):
                size = dimension.grid_size(self._number(node))
            elif node.branches:
                size = sum(map(self._measure, node.branches))
            else:
                size = dimension.num_values
            self._sizes[node.axis] = size
            total *= size
        return total

    def _fill(self, nodes: Sequence[Node], index: int, size: int, config: Config) -> None:
        for node in nodes:
            dimension = node.dimension
            if dimension is None:
                config[node.key] = copied(node.constant)
                continue
            size //= self._sizes[node.axis]
            place, index = divmod(index, size)
            if not isinstance(dimension, Choice):
                config[node.key] = self._grid(node, dimension)[place]
            elif node.branches:
                self._fill_branch(node, dimension, place, config)
            else:
                config[node.key] = dimension.option(place)

    def _fill_branch(self, node: Node, choice: Choice, place: int, config: Config) -> None:
        for position, branch in enumerate(node.branches):
            size = 1
            for inner in branch:
                size *= self._sizes.get(inner.axis, 1)
            if place < size:
                config[node.key] = choice.option(position)
                self._fill(branch, place, size, config)
                return
            place -= size

    def _grid(self, node: Node, dimension: Float | Int) -> Sequence[JSON]:
        """Return the values of a numeric dimension, worked out at their first use."""
        values = self._values.get(node.axis)
        if values is None:
            values = self._values[node.axis] = dimension.grid(self._number(node))
        return values


def cardinality(nodes: Sequence[Node]) -> int | None:
    """Return the number of different configurations; None where a dimension is continuous."""
    total = 1
    for node in nodes:
        if node.dimension is None:
            continue
        number = node.dimension.num_values
        if node.branches:
            sizes = [cardinality(branch) for branch in node.branches]
            number = None if None in sizes else sum(size for size in sizes if size is not None)
        if number is None:
            return None
        total *= number
    return total


def _checked_points(nodes: Sequence[Node], points: int | Mapping[str, int]) -> int | Mapping[str, int]:
    numeric = {
        node.key
        for node in walk(nodes)
        if node.dimension is not None and not isinstance(node.dimension, Choice)
    }
    named = dict(points) if isinstance(points, Mapping) else {}
    for key in named:
        if key not in numeric:
            raise ArgumentError(
                f"`points` names {show(key)}, which is no Float or Int of the space (the options of a "
                f"choice are always all tried).{did_you_mean(str(key), numeric)}"
            )
    for where, number in named.items() if isinstance(points, Mapping) else [("", points)]:
        if type(number) is not int or number < 1:
            name = f"`points[{where!r}]`" if where else "`points`"
            raise ArgumentError(f"{name} must be an integer of at least 1, got {show(number)}.")
    return named if isinstance(points, Mapping) else points
