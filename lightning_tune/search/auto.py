"""The search of those who name none: a model, and beside it what helps it where it may settle too early."""

from dataclasses import dataclass

import numpy as np

from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.search.axes import axes_of
from lightning_tune.search.base import Searcher
from lightning_tune.search.bayesian import BayesianSearch
from lightning_tune.search.genetic import GeneticSearch
from lightning_tune.search.tpe import TPESearch

LONG = 200
"""Trials after which every other one is bred."""
FEW = 6
"""Trials before which there is nothing for densities to learn from."""


@dataclass(frozen=True)
class AutoSearch(Searcher):
    """What `search="auto"`, the default, stands for: what does well by space and trials, unasked.

    *In a space without branches*: `BayesianSearch`, in any number of dimensions, with any number of workers.
    No other method that we know of learns as much from few trials, and what it costs, some tens of
    milliseconds a suggestion, is little beside a training. After 200 trials every other one is a child of the
    best so far (`GeneticSearch`): a model gains less and less from more rows and may settle in one place;
    children of the best get closer to it, and reach others, in a millisecond each.

    *In a space with branches* (a choice whose options bring hyperparameters of their own): every other trial
    is `TPESearch`'s, from the eighth on. What is known of one branch says little of another, so a model is
    soon sure of the wrong one; densities of the good trials are not.

    All see what the others found. How many trials are planned changes nothing (fewer trials before the model
    are no better in a sweep of 30), so a sweep that is extended is the one that it would have been. For
    trials that are as short as a suggestion, name "tpe" or "genetic".

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
        return _chosen(space, history.num_groups).suggest(space, history, rng)

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality


def _chosen(space: Space, tried: int) -> Searcher:
    """Return who proposes after so many configurations."""
    if tried % 2 == 0:
        return BayesianSearch()
    if len(axes_of(space).branching):
        return TPESearch() if tried >= FEW else BayesianSearch()
    return GeneticSearch() if tried >= LONG else BayesianSearch()
