"""The contract of a scheduler. Every implementation passes `lightning_tune.testing.scheduler_contract`."""

from abc import ABC, abstractmethod
from typing import Self

from lightning_tune.core.decision import CONTINUE, Decision, Job
from lightning_tune.core.describe import describe
from lightning_tune.core.events import JSON, Reported
from lightning_tune.core.history import History


class Scheduler(ABC):
    """Decides who trains, and how far. A frozen dataclass of settings, without any state of its own."""

    @abstractmethod
    def resolve(self, *, max_budget: float, max_trials: int | None) -> Self:
        """Return a copy with what the user left open filled in.

        Args:
            max_budget: the Trainer's `max_epochs`, in units of the budget (infinite where only the Trainer
                knows).
            max_trials: the user's `max_trials`.
        """

    @property
    @abstractmethod
    def num_trials(self) -> int | None:
        """How many configurations it needs once; None where it takes as many as there are."""

    @abstractmethod
    def next_jobs(self, history: History, count: int) -> list[Job]:
        """Return up to `count` jobs for free workers; `Wait` or `Done` (alone) where there is nothing to do.

        Limits of the whole sweep (`max_trials` and the others) are the coordinator's, not the scheduler's.
        """

    def judge(self, report: Reported, history: History) -> Decision:
        """Return what becomes of a trial that has just reported; the report is in the history already."""
        return CONTINUE

    @abstractmethod
    def cost(self, max_trials: int | None, repeats: int, unit: str) -> str:
        """Return in one sentence what the sweep will cost at most."""

    def describe(self) -> dict[str, JSON]:
        """Return its name and settings as plain JSON."""
        return describe(self)
