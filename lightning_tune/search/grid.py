"""Grid search: every combination of evenly spaced values, in a fixed order."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lightning_tune.core.decision import Done
from lightning_tune.core.events import Config
from lightning_tune.core.grid import Grid
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.search.base import Searcher


@dataclass(frozen=True)
class GridSearch(Searcher):
    """Try every combination of `points` values a dimension (fewer where it has fewer), in a fixed order.

    Args:
        points: values a dimension, at least 1, or a mapping from key to that number. Values are evenly spaced
            in the transformed space, both bounds among them; options of a choice are always all tried.

    Raises:
        ArgumentError: a number of points below 1.

    Example:
        >>> from lightning_tune.core.space import Choice, Float, Space
        >>> GridSearch(3).size(Space({"lr": Float(1e-4, 1e-2, log=True), "act": Choice(["relu", "gelu"])}))
        6
    """

    points: int | Mapping[str, int] = field(default=5)

    def __post_init__(self) -> None:
        for key, number in self.points.items() if isinstance(self.points, Mapping) else [("", self.points)]:
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                where = f"`points[{key!r}]`" if key else "`points`"
                raise ArgumentError(f"{where} must be an integer of at least 1, got {number!r}.")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Done:
        """Return the first configuration of the grid that was not tried."""
        grid = Grid(space.nodes, self.points)
        # taken in order, so at least as many of its first places are tried as there are suggestions
        first = history.count("search") if len(history.spaces) == 1 else 0
        for index in range(first, grid.size):
            config = grid.at(index)
            if history.find(config) is None and history.allows(config):
                return config
        return Done(reason=f"all {grid.size} configurations of the grid were tried")

    def size(self, space: Space) -> int:
        """Return the number of configurations of the grid."""
        return space.grid_size(self.points)
