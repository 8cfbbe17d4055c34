"""Checks and defaults that schedules share: `eta`, budgets, and how both meet the Trainer."""

import dataclasses
import math
from typing import Any, TypeVar

from lightning_tune.core.budget import Budget
from lightning_tune.errors import ArgumentError

Settings = TypeVar("Settings", bound=Any)
_RUNGS_BELOW = 3
"""How many rungs lie below the full budget where no smallest budget stands out."""


def check_eta(eta: Any) -> None:
    """Refuse a factor below 2.

    Raises:
        ArgumentError: naming it.
    """
    if not is_number(eta) or eta < 2:
        raise ArgumentError(f"`eta` must be a number of at least 2 (the best 1/eta go on), got {eta!r}.")


def check_budgets(low: Any, high: Any) -> None:
    """Refuse budgets that are not above 0, and a smallest one above the largest.

    Raises:
        ArgumentError: naming them.
    """
    for name, value in (("min_budget", low), ("max_budget", high)):
        if value is not None and (not is_number(value) or value <= 0):
            raise ArgumentError(f"`{name}` must be a number above 0, or None, got {value!r}.")
    if low is not None and high is not None and low > high:
        raise ArgumentError(f"`min_budget` must be at most `max_budget`: got {low:g} and {high:g}.")


def is_number(value: Any) -> bool:
    """Whether a value is a finite number (True and False are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def at_most(schedule: Any, budget: Budget, *, needed: bool = True) -> float:
    """Return a schedule's largest budget: its own, or the whole that the Trainer says.

    Raises:
        ArgumentError: it is more than the Trainer trains, or nobody says.
    """
    name, own = type(schedule).__name__, schedule.max_budget
    if own is not None and own > budget.full:
        raise ArgumentError(
            f"`max_budget` of {name} is {own:g}, but {_whole(budget)} is {budget.full:g}: lower the one or "
            "raise the other."
        )
    if own is None and needed and math.isinf(budget.full):
        known = budget.grows == "epochs" and budget.unit == "epochs"
        why = (
            "only the Trainer that is built for each trial knows its `max_epochs`"
            if known
            else f"it is counted in {budget.name}"
        )
        raise ArgumentError(f"`max_budget` of {name} must be given: {why}.")
    _check_fits(name, "max_budget", own, budget)
    return float(budget.full if own is None else own)


def at_least(schedule: Any, budget: Budget, high: float, eta: float) -> float:
    """Return a schedule's smallest budget: its own, or 1 epoch (other units: three rungs below the largest).

    Raises:
        ArgumentError: it is above the largest, or does not fit the unit.
    """
    name, own = type(schedule).__name__, schedule.min_budget
    _check_fits(name, "min_budget", own, budget)
    if own is not None and own > high:
        limit = (
            "`max_budget` is"
            if schedule.max_budget is not None or budget.grows != "epochs"
            else f"{_whole(budget)} is"
        )
        raise ArgumentError(
            f"`min_budget` of {name} is {own:g}, but {limit} {high:g}: lower the one or raise the other."
        )
    if own is not None:
        return float(own)
    low = budget.least or high / eta**_RUNGS_BELOW
    return float(min(max(1.0, low) if budget.whole else low, high))


def _whole(budget: Budget) -> str:
    """Return what says how far trials go: the Trainer, or where there is none the user."""
    if budget.grows != "epochs":
        return "the whole"
    return "the Trainer's `max_epochs`" if budget.unit == "epochs" else "`max_budget`"


def resolved(schedule: Settings, budget: Budget, **settings: Any) -> Settings:
    """Return a copy of a schedule with settings filled in, which knows what it counts."""
    copy = dataclasses.replace(schedule, **settings)
    object.__setattr__(copy, "_budget", budget)
    return copy


def words(budget: Budget, total: float) -> str:
    """Return what a sweep spends in all, in words.

    Args:
        budget: what is spent.
        total: how much of it; of a model's size, how many trainings.
    """
    if budget.resumes:
        return budget.amount(total)
    return f"{total:.4g} {'full trainings' if budget.grows == 'data' else 'trainings'}"


def _check_fits(name: str, argument: str, value: float | None, budget: Budget) -> None:
    if value is not None and budget.whole and value != int(value):
        raise ArgumentError(f"`{argument}` of {name} must be a whole number of {budget.name}, got {value:g}.")
