"""The contract of a scheduler. Every implementation passes `lightning_tune.testing.scheduler_contract`."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import CONTINUE, Decision, Job
from lightning_tune.core.describe import describe
from lightning_tune.core.events import JSON, Reported
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective


class Scheduler(ABC):
    """Decides who trains, and how far. A frozen dataclass of settings, without any state of its own."""

    @abstractmethod
    def resolve(self, budget: Budget) -> Self:
        """Return a copy with what the user left open filled in.

        Args:
            budget: what trials spend, how it is counted, and the whole of it as far as the Trainer says.

        Raises:
            ArgumentError: the settings do not fit the budget.
        """

    def check_objective(self, objective: Objective) -> None:
        """Refuse settings that do not fit what is monitored; called before anything is recorded or trained.

        Here the order of its rungs (`rank`) is asked, if it has this method, too. A schedule around another
        one passes it on.

        Raises:
            ArgumentError: a setting, named, with what it takes here.
        """
        asked = getattr(getattr(self, "rank", None), "check_objective", None)
        if asked is not None:
            asked(objective)

    @property
    @abstractmethod
    def full_budget(self) -> float:
        """The budget at which a trial has had all, once resolved; infinite where only the Trainer knows."""

    @property
    @abstractmethod
    def num_trials(self) -> int | None:
        """How many configurations it needs once; None where it takes as many as there are."""

    @property
    def allows_repeats(self) -> bool:
        """Whether a configuration may have several trials; not where running ones are compared."""
        return True

    @property
    def pauses(self) -> bool:
        """Whether trials wait at rungs until others have come there; a search must not wait for them."""
        return False

    @abstractmethod
    def next_jobs(self, history: History, count: int, more: float = math.inf) -> list[Job]:
        """Return jobs for `count` free workers: that many starts and resumes at most, and any stops.

        `Wait` or `Done` (alone, or after stops) where there is nothing to train. Limits of the whole sweep
        (`max_trials` and the others) are the coordinator's, not the scheduler's.

        Args:
            history: all trials so far.
            count: workers that are free, at least 1.
            more: how many configurations may still be started; 0 when limits or the search allow no more.
        """

    def judge(self, report: Reported, history: History) -> Decision:
        """Return what becomes of a trial that has just reported; the report is in the history already."""
        return CONTINUE

    @abstractmethod
    def cost(self, max_trials: int | None, repeats: int) -> str:
        """Return in one sentence what the sweep will cost at most, once resolved."""

    def notes(self) -> Sequence[str]:
        """Return what the user should know besides, once resolved."""
        return ()

    def describe(self) -> dict[str, JSON]:
        """Return its name and settings as plain JSON."""
        return describe(self)

    def record(self) -> dict[str, JSON]:
        """Return, once resolved, what may not change when a sweep is resumed."""
        return self.describe()
