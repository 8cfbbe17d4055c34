"""What a searcher that learns from trials reads of a history before each suggestion, as arrays and fast.

A trial's point in the unit cube never changes, so it is encoded once and kept beside its history; costs and
states are read anew each time. What is kept is a cache: without it the same ledger comes out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from lightning_tune.core.encode import Encoding
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Group, State, Trial
from lightning_tune.errors import SpaceError

Matrix: TypeAlias = npt.NDArray[np.float64]
Vector: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.int64]

_GOING, _STOPPED, _COMPLETED, _FAILED = range(4)
_CODES: dict[State, int] = {
    "waiting": _GOING,
    "running": _GOING,
    "paused": _GOING,
    "stopped": _STOPPED,
    "completed": _COMPLETED,
    "failed": _FAILED,
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """The groups of a history whose configurations are of a space, in the order of their starts.

    Attributes:
        history: where they are from.
        groups: the groups themselves.
        points: (num_groups, num_axes) in the unit cube, NaN where an axis is inactive.
        costs: (num_groups,), the mean over repeats of the best so far, lower is better; +inf of a group
        that
            failed, NaN of one without a finite report yet.
        reach: (num_groups,), the step that each has trained to; its whole budget if it completed early.
        ended: (num_groups,), whether it will not train on.
    """

    history: History
    groups: Sequence[Group]
    points: Matrix
    costs: Vector
    reach: Vector
    ended: Mask

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def scored(self) -> Mask:
        """Which groups have a finite cost, shape (num_groups,)."""
        return np.isfinite(self.costs)

    def decisive(self, least: int) -> Vector:
        """Return costs that may be compared, shape (num_groups,): those at one step, +inf for all others.

        The step is the highest that `least` groups with a cost have trained to, or the lowest of any; a
        group that has gone beyond counts with its score up to there. So under halving the highest rung with
        enough trials decides (Falkner, Klein & Hutter 2018), without rungs the whole budget as soon as it
        can.
        """
        scored = np.flatnonzero(self.scored)
        costs = np.full(len(self), np.inf)
        if not len(scored):
            return costs
        reach = self.reach[scored]
        level = np.sort(reach)[max(len(scored) - least, 0)]
        there = scored[reach >= level]
        costs[there] = self.costs[there]
        for index in scored[reach > level]:
            cost = self.history.cost_at(self.groups[index], float(level))
            costs[index] = cost if math.isfinite(cost) else costs[index]
        return costs


@lru_cache(maxsize=16)
def encoding_of(space: Space) -> Encoding:
    """Return the encoding of a space; made once."""
    return Encoding(space)


def read(space: Space, history: History) -> Ledger:
    """Return the ledger of a history for a space."""
    kept = _kept(space, history)
    groups = kept.groups.copy()
    several = history.repeats > 1
    costs, reach, codes = _several(groups) if several else _columns([group.members[0] for group in groups])
    return Ledger(history, groups, kept.points[: len(groups)], costs, reach, codes != _GOING)


def _columns(trials: Sequence[Trial]) -> tuple[Vector, Vector, Indices]:
    """Return (costs, reach, codes of the states) of trials, each of shape (num_trials,)."""
    codes = np.array([_CODES[trial.state] for trial in trials], dtype=np.int64)
    costs = np.array([trial.best_cost for trial in trials], dtype=np.float64)
    reach = np.array([trial.step for trial in trials], dtype=np.float64)
    costs[~np.isfinite(costs)] = np.nan
    costs[codes == _FAILED] = np.inf
    early = np.array([trial.legs[-1].budget if trial.legs else 0.0 for trial in trials], dtype=np.float64)
    reach = np.where(codes == _COMPLETED, np.maximum(reach, early), reach)
    return costs, reach, codes


def _several(groups: Sequence[Group]) -> tuple[Vector, Vector, Indices]:
    """Return the same of groups with repeats: the mean of the costs that there are, and the least reach."""
    costs, reach = np.full(len(groups), np.nan), np.zeros(len(groups))
    codes = np.array([_CODES[group.state] for group in groups], dtype=np.int64)
    for index, group in enumerate(groups):
        own, reached, _ = _columns(group.members)
        reach[index] = reached.min()
        finite = own[np.isfinite(own)]
        if len(finite):
            costs[index] = finite.mean()
    costs[codes == _FAILED] = np.inf
    return costs, reach, codes


class _Kept:
    """The encoded points of a history's groups, extended as it grows.

    Attributes:
        groups: those whose configurations are of the space.
        points: (capacity, num_axes), the first `len(groups)` rows in use.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._seen = 0
        self.groups: list[Group] = []
        self.points: Matrix = np.empty((64, encoding.size))

    def extend(self, groups: Sequence[Group]) -> None:
        """Encode the groups that are new."""
        for index in range(self._seen, len(groups)):
            try:
                point = self._encoding.encode(groups[index].config)
            except SpaceError:  # of another version of the space, and none of this one
                continue
            if len(self.groups) == len(self.points):
                # a new array: ledgers that were read before keep theirs
                self.points = np.concatenate([self.points, np.empty_like(self.points)])
            self.points[len(self.groups)] = point
            self.groups.append(groups[index])
        self._seen = len(groups)


_KEPT: WeakKeyDictionary[History, dict[Space, _Kept]] = WeakKeyDictionary()


def _kept(space: Space, history: History) -> _Kept:
    by_space = _KEPT.setdefault(history, {})
    if space not in by_space:
        by_space[space] = _Kept(encoding_of(space))
    by_space[space].extend(history.groups)
    return by_space[space]
