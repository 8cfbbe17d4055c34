"""Trials of earlier sweeps, placed in the space of this one where the two overlap."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_tune.core.bins import bin_index
from lightning_tune.core.choice import Choice
from lightning_tune.core.encode import Encoding
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.history import History, config_key
from lightning_tune.core.nodes import Node
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError, SpaceError
from lightning_tune.search.gp.kernel import Matrix, Vector

MOST = 128
"""Trials of one sweep that are used: its best half of them, and others evenly from the rest."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The outcomes of one earlier sweep.

    Attributes:
        configs: what was tried.
        costs: lower is better; +inf of a failure.
    """

    configs: tuple[Config, ...]
    costs: tuple[float, ...]

    def __hash__(self) -> int:
        return hash(self.costs)

    def describe(self) -> dict[str, JSON]:
        """Return how many trials there are, and a digest of them."""
        text = "\n".join(f"{config_key(c)} {v!r}" for c, v in zip(self.configs, self.costs, strict=True))
        return {"trials": len(self.costs), "sha256": hashlib.sha256(text.encode()).hexdigest()}

    def place(self, encoding: Encoding) -> tuple[Matrix, Vector]:
        """Return points of the space (num, axes) and their costs (num,).

        A key that the earlier sweep did not have is NaN. A configuration with a value that this space does
        not allow, or without any key of it, is left out.
        """
        points, costs = [], []
        for config, cost in zip(self.configs, self.costs, strict=True):
            point = np.full(encoding.size, np.nan)
            if _fill(encoding.space.nodes, config, point) and not np.isnan(point).all():
                points.append(point)
                costs.append(cost)
        kept = most_telling(np.array(costs, dtype=np.float64), MOST)
        return np.array(points).reshape(len(points), encoding.size)[kept], np.array(costs, dtype=np.float64)[
            kept
        ]


def earlier_sweeps(given: Any) -> tuple[Earlier, ...]:
    """Return the sweeps that `history=` holds.

    Raises:
        ArgumentError: an item is neither a history, a pair of space and history, nor (config, cost) pairs; or
            it has several objectives.
    """
    if isinstance(given, Earlier | History) or not isinstance(given, Iterable):
        given = [given]
    return tuple(_earlier(item, place) for place, item in enumerate(given))


def most_telling(costs: Vector, limit: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return which of many rows to keep, ascending: all, or the best half of `limit` and others evenly."""
    if len(costs) <= limit:
        return np.arange(len(costs))
    order = np.argsort(costs, kind="stable")
    rest = np.sort(order[limit // 2 :])
    others = limit - limit // 2
    return np.sort(np.concatenate([order[: limit // 2], rest[(np.arange(others) * len(rest)) // others]]))


def _earlier(item: Any, place: int) -> Earlier:
    if isinstance(item, Earlier):
        return item
    if (
        isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], Space | Mapping)
        and isinstance(item[1], History)
    ):
        item = item[1]
    if isinstance(item, History):
        if not item.objective.scalar:
            raise ArgumentError(
                f"`history[{place}]` has {len(item.objective.monitor)} objectives, and this search learns "
                "from one: make (config, cost) pairs of it, a number each."
            )
        ended = [group for group in item.groups if group.ended]
        return Earlier(tuple(group.config for group in ended), tuple(group.cost for group in ended))
    if isinstance(item, Sequence) and not isinstance(item, str | bytes):
        for number, pair in enumerate(item):
            if not _is_pair(pair):
                raise ArgumentError(
                    f"`history[{place}][{number}]` must be a pair of a configuration (a dictionary) and its "
                    f"cost, a number, got {pair!r}."
                )
        return Earlier(
            tuple(dict(config) for config, _ in item),
            tuple(float(cost) if math.isfinite(cost) else math.inf for _, cost in item),
        )
    raise ArgumentError(
        "`history` must be a list with an item for each earlier sweep: its `result.history`, (space, "
        f"history), or a list of (config, cost) pairs; item {place} is a {type(item).__name__}."
    )


def _is_pair(pair: Any) -> bool:
    return (
        isinstance(pair, Sequence)
        and len(pair) == 2
        and isinstance(pair[0], Mapping)
        and isinstance(pair[1], int | float)
    )


def _fill(nodes: Iterable[Node], config: Mapping[str, Any], point: Vector) -> bool:
    """Place the values of a configuration; False where one is not a value of this space."""
    for node in nodes:
        dimension = node.dimension
        if dimension is None or node.key not in config:
            continue
        try:
            value: Any = dimension.check(config[node.key], node.key)
        except SpaceError:
            return False
        point[node.axis] = dimension.to_unit(value)
        if node.branches and isinstance(dimension, Choice):
            branch = node.branches[bin_index(float(point[node.axis]), len(node.branches))]
            if not _fill(branch, config, point):
                return False
    return True
