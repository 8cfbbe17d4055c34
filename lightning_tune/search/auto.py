"""The search of those who name none: a model while trials are few, breeding beside it when they are many."""

from dataclasses import dataclass

import numpy as np

from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.search.base import Searcher
from lightning_tune.search.bayesian import BayesianSearch
from lightning_tune.search.genetic import GeneticSearch

LONG = 200
"""Trials after which every other one is bred."""


@dataclass(frozen=True)
class AutoSearch(Searcher):
    """What `search="auto"`, the default, stands for: what does well by the number of trials, unasked.

    *Up to 200 trials*: `BayesianSearch`, in any number of dimensions, with any number of workers. No other
    method that we know of learns as much from few trials, on numbers, choices and branches alike, and what
    it costs, some tens of milliseconds a suggestion, is little beside a training.

    *Beyond*: every other trial is a child of the best so far (`GeneticSearch`), the rest are still the
    model's; each sees what the other found. A model gains less and less from more rows and may settle in
    one place; children of the best get closer to it, and reach others, in a millisecond each.

    How many trials are planned changes nothing (fewer trials before the model are no better in a sweep of
    30), so a sweep that is extended is the one that it would have been. For trials that are as short as a
    suggestion, name "tpe" or "genetic".

    Example:
        >>> from lightning_tune.core.space import Float
        >>> from lightning_tune.testing.functions import run_function
        >>> space = {"x": Float(-5, 5), "y": Float(-5, 5)}
        >>> bowl = lambda config, step: (config["x"] - 1) ** 2 + (config["y"] + 2) ** 2
        >>> history = run_function(space, AutoSearch(), bowl, max_trials=20)
        >>> history.best.score < 0.01
        True
    """

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Wait | Done:
        """Return the next configuration to try."""
        tried = len(history.groups)
        chosen = GeneticSearch() if tried >= LONG and tried % 2 else BayesianSearch()
        return chosen.suggest(space, history, rng)

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality
