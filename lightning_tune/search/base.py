"""The contract of a searcher. Every implementation passes `lightning_tune.testing.searcher_contract`."""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.describe import describe
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Space


class Searcher(ABC):
    """Proposes configurations. A frozen dataclass of settings, without any state of its own."""

    @abstractmethod
    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Wait | Done:
        """Return the next configuration to try.

        Args:
            space: what may be tried.
            history: all trials so far, the running ones included; `history.allows(config)` is the sweep's
                constraint.
            rng: a generator that depends on the sweep's seed and the number of the new trial alone.

        Returns:
            A configuration of the space that the constraint allows; `Wait` when that depends on a trial that
            is still running; `Done` when there is none left.
        """

    def check(self, space: Space, objective: Objective) -> None:
        """Refuse settings that do not fit the sweep; called before anything is recorded or trained.

        Raises:
            ArgumentError: a setting, named, with what it takes here.
        """
        return

    def resolve(self, max_trials: int | None) -> Self:
        """Return a copy with what the user left open filled in, as a sweep of so many trials uses it.

        What is recorded of a sweep is the searcher as it was given: `max_trials` may grow later.
        """
        return self

    @property
    def waits(self) -> bool:
        """Whether it may have nothing to propose until trials that it proposed have ended."""
        return False

    def size(self, space: Space) -> int | None:
        """Return how many configurations it will propose at most; None where there is no end."""
        return None

    def summary(self, space: Space, history: History) -> list[str]:
        """Return what it learned, a sentence a line, to be shown at the end of the sweep."""
        return []

    def describe(self) -> dict[str, JSON]:
        """Return its name and settings as plain JSON."""
        return describe(self)
