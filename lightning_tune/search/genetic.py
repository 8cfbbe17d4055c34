"""A genetic algorithm in a steady state: every trial is a child of the best so far, so that no worker waits.

Tournaments choose parents (Goldberg & Deb 1991), uniform crossover and Gaussian mutation make most
children. On numeric axes others are made as in evolution strategies: by differences between parents (Storn
& Price 1997), or by a draw from their weighted covariance (Hansen 2016). All take their step from how far
apart the parents are, so that the search closes in as the population does, without any state.

With several objectives who is better is as in NSGA-II (Deb, Pratap, Agarwal & Meyarivan 2002), for survival
and tournament alike: by front, then by crowding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lightning_tune.core.checks import whole
from lightning_tune.core.decision import Done
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.search.axes import axes_of
from lightning_tune.search.base import Searcher
from lightning_tune.search.breeding import Brood
from lightning_tune.search.ledger import Indices, Ledger, read
from lightning_tune.search.moves import completed, perturbed
from lightning_tune.search.random import RandomSearch

Rank: TypeAlias = Callable[[Ledger], Indices]
"""`ledger -> indices of its groups`, best first; those that may never be parents are left out. Pure."""

_LEAST_PARENTS = 3
_TRIES = 50
_PATIENCE = 4
"""After so many children that were tried before or are refused, the next are moved further and further."""


def by_cost(ledger: Ledger) -> Indices:
    """Rank groups by their costs at the highest step that enough have trained to, ties to the earlier one.

    With several objectives front by front, the lonely before the crowded.
    """
    costs = ledger.decisive(least=6)
    order = np.argsort(costs, kind="stable")
    return order[: int(np.isfinite(costs).sum())]


@dataclass(frozen=True)
class GeneticSearch(Searcher):
    """Cross and mutate the best configurations so far.

    The population is the best `population` trials there are at the time, so the best is never lost, and
    each new score takes part at once. Under a schedule that stops trials early, the highest rung that
    enough trials have reached decides.

    Args:
        population: how many of the best trials may be parents, at least 3.
        tournament: the better of so many drawn at random becomes a parent, at least 1; more is greedier.
        mutation: how likely each value of a crossed child is to change; at least one in as many as there are.
        startup: so many trials are random before the first child, at least 3.
        rank: who is better, `ledger -> indices`, best first; by cost unless given, or front by
            front.

    Raises:
        ArgumentError: an argument out of these bounds.

    Example:
        >>> from lightning_tune.core.space import Float
        >>> from lightning_tune.testing.functions import run_function
        >>> space = {"x": Float(-5, 5), "y": Float(-5, 5)}
        >>> bowl = lambda config, step: (config["x"] - 1) ** 2 + (config["y"] + 2) ** 2
        >>> history = run_function(space, GeneticSearch(), bowl, max_trials=100)
        >>> history.best.score < 0.1
        True
    """

    population: int = 12
    tournament: int = 3
    mutation: float = 0.1
    startup: int = 10
    rank: Rank = by_cost

    def __post_init__(self) -> None:
        whole("population", self.population, _LEAST_PARENTS)
        whole("tournament", self.tournament, 1)
        whole("startup", self.startup, _LEAST_PARENTS)
        number = isinstance(self.mutation, int | float) and not isinstance(self.mutation, bool)
        if not number or not 0 <= self.mutation <= 1:
            raise ArgumentError(f"`mutation` must be a chance from 0 to 1, got {self.mutation!r}.")
        if not callable(self.rank):
            raise ArgumentError(f"`rank` must be a callable `ledger -> indices`, got {self.rank!r}.")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Done:
        """Return a child that was not tried and is allowed."""
        ledger = read(space, history)
        best = self.rank(ledger)[: self.population]
        if len(ledger) < self.startup or len(best) < _LEAST_PARENTS:
            return RandomSearch().suggest(space, history, rng)
        axes, parents = axes_of(space), ledger.points[best]
        brood = Brood(axes, parents, self.tournament, self.mutation)
        for attempt in range(_TRIES):
            child = brood.child(rng)
            if attempt >= _PATIENCE:
                away = attempt / _TRIES
                child = completed(axes, perturbed(axes, child, away / 2, away, rng), parents, rng)
            config = axes.encoding.decode(child)
            if history.find(config) is None and history.allows(config):
                return config
        return RandomSearch().suggest(space, history, rng)

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality
