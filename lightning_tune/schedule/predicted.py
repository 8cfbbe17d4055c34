"""An order for rungs: who is predicted to end best, instead of who is best now.

A learning curve that starts late and rises fast loses at an early rung although it would win at the last one.
With `rank=ByPredictedEnd(27)` a rung of `SuccessiveHalving`, `Hyperband` or `ASHA` sends on those whose
curves up to there lead farthest, by the extrapolation of Domhan, Springenberg & Hutter 2015 as
`lightning_tune.curves` does it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_tune.core.history import History
from lightning_tune.core.pareto import pareto_order
from lightning_tune.core.trial import Group
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.curves_of import Array, curves_of
from lightning_tune.schedule.settings import is_number


@dataclass(frozen=True)
class ByPredictedEnd:
    """Rank groups by the predicted median of their last value, ties to the lower number.

    Only reports up to the rung are used, and only those of the groups at the rung, so an order does not
    change later. A group that failed by then has no place. With several objectives: by who dominates whom in
    their medians.

    Args:
        at: the budget at which the last value is predicted, usually the schedule's largest.

    Raises:
        ArgumentError: `at` is no number above 0.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> from lightning_tune.schedule import Hyperband
        >>> Hyperband(rank=ByPredictedEnd(at=27)).resolve(Budget(full=27)).record()["rank"]
        'lightning_tune.schedule.predicted.ByPredictedEnd(at=27)'
    """

    at: float

    def __post_init__(self) -> None:
        if not is_number(self.at) or self.at <= 0:
            raise ArgumentError(f"`at` of ByPredictedEnd must be a budget above 0, got {self.at!r}.")
        object.__setattr__(self, "__qualname__", f"ByPredictedEnd(at={self.at:g})")  # a rank has a name

    def __call__(self, history: History, level: float, groups: Sequence[Group]) -> list[int]:
        """Return the numbers of groups, best first.

        Args:
            history: all trials so far.
            level: the rung.
            groups: those at the rung.
        """
        found = [group for group in groups if history.costs_at(group, level) is not None]
        found.sort(key=lambda group: group.number)
        if not found:
            return []
        number = 1 if history.objective.scalar else len(history.objective.monitor)
        medians = np.stack([self._medians(history, level, found, place) for place in range(number)], axis=1)
        return [found[place].number for place in pareto_order(medians)]

    def _medians(self, history: History, level: float, groups: Sequence[Group], objective: int) -> Array:
        """Return the predicted median of each group, (num_groups,)."""
        curves = curves_of(history, groups, full=max(self.at, level), objective=objective, upto=level)
        medians = np.full(len(groups), math.inf)
        known = curves.known
        if known.any():
            medians[known] = curves.only(known).predicted(self.at).quantile(0.5)
        return medians
