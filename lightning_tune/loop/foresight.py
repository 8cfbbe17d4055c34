"""Where the curves of running trials lead, for the screen: each is extrapolated once a report."""

import math
from typing import Any, Self

import numpy as np

from lightning_tune.core.budget import Budget
from lightning_tune.core.objective import Objective
from lightning_tune.core.trial import Trial
from lightning_tune.schedule import Scheduler
from lightning_tune.schedule.curves_of import Bounds, limits_of
from lightning_tune.track.foreseen import Foreseen

FEWEST = 4
"""Reports, below which nothing is said."""
MOST = 1000
"""Columns of a curve; one with more reports is not extrapolated."""
LEVELS = (0.05, 0.5, 0.95)


class Foresight:
    """Predicts the last value of a running trial at the full budget.

    Args:
        objective: what is monitored; with several objectives nothing is predicted.
        budget: what trials spend; where each leg trains anew, nothing is predicted.
        full: the full budget, in its unit; infinite where nobody knows it.
        bounds: (low, high) that the metric cannot leave; a value that was reported beyond them counts as the
            nearer end.
    """

    def __init__(self, objective: Objective, budget: Budget, full: float, bounds: Bounds = None) -> None:
        self._objective = objective
        self._full = full
        self._knows = objective.scalar and budget.resumes and math.isfinite(full)
        self._limits = limits_of(bounds, objective, "Foresight")[0]
        self._found: dict[int, tuple[int, Foreseen | None]] = {}

    @classmethod
    def of(cls, objective: Objective, budget: Budget, schedule: Scheduler) -> Self:
        """Return it for a sweep under a schedule, resolved, with the bounds that one was given."""
        return cls(objective, budget, schedule.full_budget, bounds_of(schedule))

    def __call__(self, trial: Trial) -> Foreseen | None:
        """Return what is foreseen of a trial; None of one that does not run, or has hardly begun."""
        if not self._knows or trial.state != "running" or trial.step >= self._full:
            self._found.pop(trial.number, None)
            return None
        known, found = self._found.get(trial.number, (-1, None))
        if known != len(trial.rows):
            found = self._look(trial)
            self._found[trial.number] = (len(trial.rows), found)
        return found

    def _look(self, trial: Trial) -> Foreseen | None:
        steps = np.array([report.step for report in trial.reports])
        costs = np.array([self._objective.cost(report.values) for report in trial.reports])
        finite = np.isfinite(costs)
        if finite.sum() < FEWEST:
            return None
        spacing = float(np.median(np.diff(steps, prepend=0.0)))
        columns = np.maximum(np.round(steps / spacing).astype(np.int64), 1)
        if columns[-1] > MOST:
            return None
        curve = np.full((1, columns[-1]), np.nan)
        curve[0, columns[finite] - 1] = np.clip(costs[finite], *self._limits)
        from lightning_tune.curves.posterior import extrapolate

        end = max(self._full / spacing, float(columns[-1]))
        ends = extrapolate(curve, at=end, mode="min", bounds=self._limits).quantile(LEVELS)[0]
        low, middle, high = sorted(self._objective.value(float(cost)) for cost in ends)
        return Foreseen(low=low, middle=middle, high=high)


def bounds_of(part: Any) -> Bounds:
    """Return the bounds that a schedule was given: its own, or those of the one in it, or of its order."""
    own: Bounds = getattr(part, "bounds", None)
    for name in ("schedule", "rank"):
        if own is None and (inner := getattr(part, name, None)) is not None:
            own = bounds_of(inner)
    return own
