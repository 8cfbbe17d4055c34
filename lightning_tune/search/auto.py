"""The search of those who name none."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from lightning_tune.core.checks import whole_or_none
from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.search.base import Searcher
from lightning_tune.search.bayesian import BayesianSearch


@dataclass(frozen=True, kw_only=True)
class AutoSearch(Searcher):
    """What `search="auto"`, the default, stands for: Bayesian optimisation with default settings.

    That is at home with numbers, choices and branches alike, learns most from few trials, and costs some tens
    of milliseconds a suggestion, little beside a training. For trials that are as short, name "tpe".

    Args:
        max_trials: how many trials there will be; None is what the sweep says of itself. Nothing depends on
            it yet.

    Raises:
        ArgumentError: `max_trials` below 1.

    Example:
        >>> from lightning_tune.core.space import Float
        >>> from lightning_tune.testing.functions import run_function
        >>> space = {"x": Float(-5, 5), "y": Float(-5, 5)}
        >>> bowl = lambda config, step: (config["x"] - 1) ** 2 + (config["y"] + 2) ** 2
        >>> history = run_function(space, AutoSearch(), bowl, max_trials=20)
        >>> history.best.score < 0.01
        True
    """

    max_trials: int | None = None

    def __post_init__(self) -> None:
        whole_or_none("max_trials", self.max_trials, 1)

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Wait | Done:
        """Return the next configuration to try."""
        return BayesianSearch().suggest(space, history, rng)

    def resolve(self, max_trials: int | None) -> Self:
        """Return it for a sweep of so many trials, unless it was told of another number."""
        return self if self.max_trials is not None else replace(self, max_trials=max_trials)

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality
