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
from lightning_tune.core.objective import Objective
from lightning_tune.core.pareto import pareto_order
from lightning_tune.core.trial import Group
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.curves_of import Array, Bounds, Limits, curves_of, limits_of, plain_bounds
from lightning_tune.schedule.ranking import Going
from lightning_tune.schedule.settings import is_number


@dataclass(frozen=True)
class ByPredictedEnd:
    """Rank groups by the predicted median of their last value, ties to the lower number.

    Only reports up to the rung are used, and only those of the groups at the rung, so an order does not
    change later. A group that failed by then has no place. With several objectives: by who dominates whom in
    their medians.

    Args:
        at: the budget at which the last value is predicted, usually the schedule's largest, and no less.
        bounds: (low, high) that the metric cannot leave, None for no bound: (0, 1) of an accuracy, (0, None)
            of most losses; with several objectives a list of pairs, in the order of `monitor`. With a
            callable `score` they are those of the number it makes. No end is predicted beyond them, and a
            value that was reported there counts as the nearer end.

    Raises:
        ArgumentError: `at` is no number above 0, or `bounds` are no pairs that ascend.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> from lightning_tune.schedule import Hyperband
        >>> Hyperband(rank=ByPredictedEnd(at=27)).resolve(Budget(full=27)).record()["rank"]
        'lightning_tune.schedule.predicted.ByPredictedEnd(at=27)'
    """

    at: float
    bounds: Bounds = None

    def __post_init__(self) -> None:
        if not is_number(self.at) or self.at <= 0:
            raise ArgumentError(f"`at` of ByPredictedEnd must be a budget above 0, got {self.at!r}.")
        object.__setattr__(self, "bounds", plain_bounds(self.bounds))
        within = "" if self.bounds is None else f", bounds={self.bounds!r}"
        name = f"ByPredictedEnd(at={self.at:g}{within})"
        object.__setattr__(self, "__qualname__", name)  # a rank has a name

    def check_objective(self, objective: Objective) -> None:
        """Refuse bounds that are not one pair an objective.

        Raises:
            ArgumentError: naming what was given, and what it takes.
        """
        limits_of(self.bounds, objective, "ByPredictedEnd")

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
        limits = limits_of(self.bounds, history.objective, "ByPredictedEnd")
        medians = [self._medians(history, level, found, *each) for each in enumerate(limits)]
        return [found[place].number for place in pareto_order(np.stack(medians, axis=1))]

    def _medians(
        self, history: History, level: float, groups: Sequence[Group], objective: int, limits: Limits
    ) -> Array:
        """Return the predicted median of each group, (num_groups,)."""
        full = max(self.at, level)
        curves = curves_of(history, groups, full=full, objective=objective, upto=level, limits=limits)
        medians = np.full(len(groups), math.inf)
        known = curves.known
        if known.any():
            medians[known] = curves.only(known).predicted(self.at).quantile(0.5)
        return medians


def check_ends(schedule: Scheduler) -> None:
    """Refuse a schedule, resolved, whose order is by ends before its own largest budget.

    Raises:
        ArgumentError: naming both.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> from lightning_tune.schedule import ASHA
        >>> check_ends(ASHA(rank=ByPredictedEnd(at=50)).resolve(Budget(full=27)))  # beyond is no error
    """
    while isinstance(inner := getattr(schedule, "schedule", None), Scheduler):
        schedule = inner
    rank = getattr(schedule, "rank", None)
    rank = rank.rank if isinstance(rank, Going) else rank
    if isinstance(rank, ByPredictedEnd) and rank.at < schedule.full_budget:
        raise ArgumentError(
            f"`at` of ByPredictedEnd must be at least the largest budget of {type(schedule).__name__}, "
            f"{schedule.full_budget:g}, where its trials end; got {rank.at:g}."
        )
