"""What a searcher that learns from trials reads of a history before each suggestion, as arrays and fast.

A trial's point in the unit cube never changes, so it is remembered (`observed.placed`); costs and states are
read anew each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Group, State, Trial
from lightning_tune.search.front import places
from lightning_tune.search.observed import encoding_of, placed

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
        vectors: (num_groups, num_objectives), the mean over repeats of the best so far (of the last report,
            if there are several objectives), lower is better; +inf of a group that failed, NaN of one without
            a finite report yet.
        reach: (num_groups,), the step that each has trained to; its whole budget if it completed early.
        ended: (num_groups,), whether it will not train on.
    """

    history: History
    groups: Sequence[Group]
    points: Matrix
    vectors: Matrix
    reach: Vector
    ended: Mask

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def several(self) -> bool:
        """Whether there are several objectives, so that no one number orders the groups."""
        return bool(self.vectors.shape[1] > 1)

    @property
    def costs(self) -> Vector:
        """The costs in the first, usually the only, objective, shape (num_groups,)."""
        return self.vectors[:, 0]

    @property
    def scored(self) -> Mask:
        """Which groups have a finite cost, shape (num_groups,)."""
        return np.asarray(np.isfinite(self.vectors).all(axis=1))

    def decisive(self, least: int) -> Vector:
        """Return one number a group to compare, lower is better, +inf of those that cannot be.

        The cost at the decisive step; with several objectives the place in the order of those at it, front by
        front (`front.places`).
        """
        vectors = self.decisive_vectors(least)
        return places(vectors) if self.several else vectors[:, 0]

    def decisive_vectors(self, least: int) -> Matrix:
        """Return costs that may be compared, of the shape of `vectors`: those at one step, +inf for others.

        The step is the highest that `least` groups with a cost have trained to, or the lowest of any; a
        group that has gone beyond counts with its score up to there. So under halving the highest rung with
        enough trials decides (Falkner, Klein & Hutter 2018), without rungs the whole budget as soon as it
        can.
        """
        scored = np.flatnonzero(self.scored)
        costs = np.full_like(self.vectors, np.inf)
        if not len(scored):
            return costs
        reach = self.reach[scored]
        level = float(np.sort(reach)[max(len(scored) - least, 0)])
        there = scored[reach >= level]
        costs[there] = self.vectors[there]
        for index in scored[reach > level]:
            cost = self.history.costs_at(self.groups[index], level)
            costs[index] = costs[index] if cost is None else cost
        return costs


def read(space: Space, history: History) -> Ledger:
    """Return the ledger of a history for a space."""
    points, groups = placed(encoding_of(space), history)
    size = 1 if history.objective.scalar else len(history.objective.monitor)
    members = [group.members[0] for group in groups]
    vectors, reach, codes = _repeated(groups, size) if history.repeats > 1 else _columns(members, size)
    return Ledger(history, groups, points, vectors, reach, codes != _GOING)


def _columns(trials: Sequence[Trial], size: int) -> tuple[Matrix, Vector, Indices]:
    """Return (costs, reach, codes of the states) of trials, of (num_trials, size) and (num_trials,) twice."""
    codes = np.array([_CODES[trial.state] for trial in trials], dtype=np.int64)
    if size == 1:
        costs = np.array([[trial.best_cost] for trial in trials], dtype=np.float64)
    else:
        costs = np.array([trial.costs or (np.nan,) * size for trial in trials], dtype=np.float64)
    reach = np.array([trial.step for trial in trials], dtype=np.float64)
    costs = costs.reshape(len(trials), size)
    costs[~np.isfinite(costs)] = np.nan
    costs[codes == _FAILED] = np.inf
    early = np.array([trial.legs[-1].budget if trial.legs else 0.0 for trial in trials], dtype=np.float64)
    reach = np.where(codes == _COMPLETED, np.maximum(reach, early), reach)
    return costs, reach, codes


def _repeated(groups: Sequence[Group], size: int) -> tuple[Matrix, Vector, Indices]:
    """Return the same of groups with repeats: the mean of the costs that there are, and the least reach."""
    costs, reach = np.full((len(groups), size), np.nan), np.zeros(len(groups))
    codes = np.array([_CODES[group.state] for group in groups], dtype=np.int64)
    for index, group in enumerate(groups):
        own, reached, _ = _columns(group.members, size)
        reach[index] = reached.min()
        finite = own[np.isfinite(own).all(axis=1)]
        if len(finite):
            costs[index] = finite.mean(axis=0)
    costs[codes == _FAILED] = np.inf
    return costs, reach, codes
