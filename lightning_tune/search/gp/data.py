"""What a sweep has taught so far, as rows for the model: each at a level of training.

A trial that was judged at several budgets (the rungs of a halving schedule) is a row at each: the model
learns from all of them, over the logarithm of the budget, and is asked about the largest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightning_tune.core.history import History
from lightning_tune.core.trial import Group
from lightning_tune.search.gp.kernel import Matrix, Vector
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.observed import placed


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rows:
    """Observations.

    Attributes:
        points: (num, axes), in the unit cube.
        levels: (num,), where on the logarithmic scale from the smallest budget (0) to the largest (1).
        costs: (num,), lower is better; +inf of a failure.
        trials: (num,), the place of the trial in the sweep.
    """

    points: Matrix
    levels: Vector
    costs: Vector
    trials: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.costs)

    def take(self, rows: npt.NDArray[np.int64]) -> "Rows":
        """Return some of the rows."""
        return Rows(
            points=self.points[rows],
            levels=self.levels[rows],
            costs=self.costs[rows],
            trials=self.trials[rows],
        )

    def levelled(self) -> Vector:
        """Return the costs as if at the largest level: less what trials usually gain from each to the next.

        The usual gain is the median over the trials seen at both. So the model is left with where one
        trial gains more than another.
        """
        costs = self.costs.copy()
        levels = np.unique(self.levels)
        for low, high in zip(levels[-2::-1], levels[:0:-1], strict=True):
            below, above = np.flatnonzero(self.levels == low), np.flatnonzero(self.levels == high)
            _, first, second = np.intersect1d(self.trials[below], self.trials[above], return_indices=True)
            gains = self.costs[below[first]] - self.costs[above[second]]
            gains = gains[np.isfinite(gains)]
            if len(gains):
                costs[self.levels <= low] -= float(np.median(gains))
        return costs


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """A sweep's history for the model.

    Attributes:
        tried: (num_trials, axes), every point that was tried or is being tried.
        rows: the observations, in the order of the trials, small budgets first.
        pending: (num_pending, axes), points whose cost at the level they train to is not known yet.
    """

    tried: Matrix
    rows: Rows
    pending: Matrix


def see(layout: Layout, history: History, objective: int = 0) -> Seen:
    """Return what a history holds of configurations of the layout's space; costs are in one objective."""
    tried, groups = placed(layout.encoding, history)
    budgets = sorted({leg.budget for group in groups for member in group.members for leg in member.legs})
    owners: list[int] = []
    steps: list[float] = []
    costs: list[float] = []
    pending: list[int] = []
    for place, group in enumerate(groups):
        found = _outcomes(history, group, budgets, objective)
        owners += [place] * len(found)
        steps += [step for step, _ in found]
        costs += [cost for _, cost in found]
        if not group.ended and (group.state != "paused" or not found):
            pending.append(place)
    rows = Rows(
        points=tried[owners],
        levels=_levels(np.array(steps)),
        costs=np.array(costs, dtype=np.float64),
        trials=np.array(owners, dtype=np.int64),
    )
    return Seen(tried=tried, rows=rows, pending=tried[pending])


def _outcomes(
    history: History, group: Group, budgets: Sequence[float], objective: int
) -> list[tuple[float, float]]:
    """Return (budget, cost) at every level that a group reached; one that failed did so for good."""
    state = group.state
    if state == "failed":
        return [(budgets[-1] if budgets else 1.0, math.inf)]
    if state == "completed" and len(budgets) == 1:
        return [(budgets[0], _cost(group.costs, objective))]
    found = []
    for budget in budgets:
        if not history.reached(group, budget):
            break
        found.append((budget, _cost(history.costs_at(group, budget), objective)))
    step = max(member.step for member in group.members)
    if state == "stopped" and step > (found[-1][0] if found else 0.0):  # on the way to the next level
        found.append((step, _cost(group.costs, objective)))
    return found


def _cost(costs: Sequence[float] | None, objective: int) -> float:
    return math.inf if costs is None else costs[objective]


def _levels(steps: Vector) -> Vector:
    """Return the logarithm of the steps, from 0 at the smallest to 1 at the largest.

    A budget that nothing but the Trainer knows is infinite: it counts as the largest that is known.
    """
    if not len(steps):
        return steps
    steps = np.where(np.isfinite(steps), steps, max(steps[np.isfinite(steps)], default=1.0))
    logs = np.log(np.maximum(steps, 1e-3 * max(float(steps.max()), 1e-300)))
    spread = logs.max() - logs.min()
    ones = np.ones_like(logs)
    return ones if spread <= 0.0 else 1.0 - (logs.max() - logs) / spread
