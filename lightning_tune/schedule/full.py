"""No schedule: every trial trains to its full budget."""

import math
from dataclasses import dataclass, replace
from typing import Self

from lightning_tune.core.decision import Job, Resume, Start
from lightning_tune.core.history import History
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.base import Scheduler


@dataclass(frozen=True)
class FullBudget(Scheduler):
    """Train every configuration to the full budget, one after another.

    A trial that had completed under a smaller budget (an earlier call with fewer `max_epochs`) trains on if
    its last checkpoint is still there; without one it stays as it is.

    Args:
        max_budget: the budget of every trial; None is the Trainer's `max_epochs`.
    """

    max_budget: float | None = None

    def resolve(self, *, max_budget: float, max_trials: int | None) -> Self:
        """Fill in the budget.

        Raises:
            ArgumentError: it was given, and the Trainer's `max_epochs` is another.
        """
        if self.max_budget is not None and self.max_budget != max_budget:
            raise ArgumentError(
                f"`max_budget` of FullBudget is {self.max_budget:g}, but the Trainer's `max_epochs` is "
                f"{max_budget:g}: leave `max_budget` out."
            )
        return replace(self, max_budget=max_budget)

    @property
    def num_trials(self) -> int | None:
        """It takes as many trials as there are."""
        return None

    def next_jobs(self, history: History, count: int) -> list[Job]:
        """Return trials that may train on under a larger budget, then new ones."""
        budget = math.inf if self.max_budget is None else self.max_budget
        grown: list[Job] = [
            Resume(group=trial.group, budget=budget)
            for trial in history.resumable
            if trial.state == "completed" and trial.step >= trial.budget and trial.budget < budget
        ]
        return (grown + [Start(budget=budget)] * count)[:count]

    def cost(self, max_trials: int | None, repeats: int, unit: str) -> str:
        """Return the number of trials and of epochs at most."""
        each = (
            ""
            if self.max_budget is None or math.isinf(self.max_budget)
            else f" of {self.max_budget:g} {unit}"
        )
        if max_trials is None:
            return f"trials{each}, until the search or a limit ends it"
        trials = max_trials * repeats
        total = f": at most {trials * self.max_budget:g} {unit}" if each and self.max_budget else ""
        return f"{trials} trials{each}{total}"
