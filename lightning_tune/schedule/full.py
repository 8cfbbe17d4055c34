"""No schedule: every trial trains to its full budget."""

import math
from dataclasses import dataclass, field, replace
from typing import Self

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.decision import Done, Job, Resume, Start
from lightning_tune.core.events import JSON
from lightning_tune.core.history import History
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.settings import at_most, check_budgets, resolved


@dataclass(frozen=True)
class FullBudget(Scheduler):
    """Train every configuration to the full budget, one after another.

    A trial that had completed under a smaller budget (an earlier call with fewer `max_epochs`) trains on if
    its last checkpoint is still there; without one it stays as it is.

    Args:
        max_budget: the budget of every trial; None is the Trainer's `max_epochs`.

    Raises:
        ArgumentError: `max_budget` is not above 0.
    """

    max_budget: float | None = None
    _budget: Budget = field(default=EPOCHS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_budget != math.inf:  # which only a resolved one may be
            check_budgets(None, self.max_budget)

    def resolve(self, budget: Budget) -> Self:
        """Fill in the budget.

        Raises:
            ArgumentError: it was given, and the Trainer's `max_epochs` is another, or the budget is one that
                only a
            schedule with rungs can use.
        """
        if not budget.resumes:
            raise ArgumentError(
                f"`budget={budget.grows!r}` needs a schedule with rungs: schedule='halving', 'hyperband' or "
                "'asha'. Without one every trial has the whole budget from the beginning."
            )
        if (
            self.max_budget is not None
            and budget.unit == "epochs"
            and self.max_budget != budget.full < math.inf
        ):
            raise ArgumentError(
                f"`max_budget` of FullBudget is {self.max_budget:g}, but the Trainer's `max_epochs` is "
                f"{budget.full:g}: leave `max_budget` out."
            )
        return resolved(self, budget, max_budget=at_most(self, budget, needed=False))

    @property
    def full_budget(self) -> float:
        """The budget of every trial."""
        return math.inf if self.max_budget is None else self.max_budget

    @property
    def num_trials(self) -> int | None:
        """It takes as many trials as there are."""
        return None

    def next_jobs(self, history: History, count: int, more: float = math.inf) -> list[Job]:
        """Return trials that may train on under a larger budget, then new ones."""
        budget = self.full_budget
        grown: list[Job] = [
            Resume(group=trial.group, budget=budget)
            for trial in history.resumable
            if trial.state == "completed" and trial.step >= trial.budget and trial.budget < budget
        ]
        fresh: list[Job] = [Start(budget=budget)] * int(min(count, more))
        return (grown + fresh)[:count] or [Done(reason="every trial has its full budget")]

    def cost(self, max_trials: int | None, repeats: int) -> str:
        """Return the number of trials and of epochs at most."""
        known = math.isfinite(self.full_budget)
        each = f" of {self._budget.amount(self.full_budget)}" if known else ""
        if max_trials is None:
            return f"trials{each}, until the search or a limit ends it"
        trials = max_trials * repeats
        total = f": at most {self._budget.amount(trials * self.full_budget)}" if known else ""
        return f"{trials} trials{each}{total}"

    def record(self) -> dict[str, JSON]:
        """Return its name: a larger budget is allowed, under which finished trials train on."""
        return replace(self, max_budget=None).describe()
