"""How often trials are compared where levels are evenly spaced: `interval`, its check and its default."""

from typing import Any

from lightning_tune.core.budget import Budget
from lightning_tune.core.history import History
from lightning_tune.core.trial import Trial
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.settings import is_number


def check_interval(interval: Any) -> None:
    """Refuse what is neither None nor a number above 0.

    Raises:
        ArgumentError: naming it.
    """
    if interval is not None and (not is_number(interval) or interval <= 0):
        raise ArgumentError(f"`interval` must be a number above 0, or None, got {interval!r}.")


def interval_of(schedule: Any, budget: Budget, high: float, default: float) -> float:
    """Return how far apart a schedule's levels are: its own `interval`, or a default in the budget's unit.

    Args:
        schedule: the schedule, which has an `interval`.
        budget: what trials spend.
        high: the largest budget.
        default: the interval where none was given; rounded, and at least 1, where budgets are whole.

    Raises:
        ArgumentError: it is no whole number where budgets are, or leaves no level below the largest budget.
    """
    name, own = type(schedule).__name__, schedule.interval
    if own is None:
        return float(max(1, round(default))) if budget.whole else float(default)
    if budget.whole and own != int(own):
        raise ArgumentError(f"`interval` of {name} must be a whole number of {budget.name}, got {own:g}.")
    if own >= high:
        raise ArgumentError(
            f"`interval` of {name} must be below the largest budget, {budget.amount(high)}, or nothing is "
            f"decided before trials end there; got {own:g}."
        )
    return float(own)


def check_resumes(schedule: Any, budget: Budget) -> None:
    """Refuse a budget for which each rung trains anew, in a schedule that follows trials as they train.

    Raises:
        ArgumentError: naming the budget and the schedules that can use it.
    """
    if not budget.resumes:
        raise ArgumentError(
            f"{type(schedule).__name__} follows trials as they train on, but with `budget={budget.grows!r}` "
            "each rung trains anew: use schedule='halving', 'hyperband' or 'asha'."
        )


def step_before(history: History, trial: Trial, step: float) -> float:
    """Return the step of the trial's report before the one at `step`; 0 for the first."""
    steps = (history.report(row).step for row in reversed(trial.rows))
    return next((before for before in steps if before < step), 0.0)
