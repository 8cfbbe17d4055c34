"""Random search (Bergstra & Bengio 2012).

Uniform in the transformed space, each trial independent of all others.
"""

from dataclasses import dataclass

import numpy as np

from lightning_tune.core.decision import Done
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.errors import SpaceError
from lightning_tune.search.base import Searcher

_TRIES = 1000
"""Draws for a configuration that was not tried."""
_REFUSALS = 100_000
"""Draws for one that the constraint allows: a second or two."""


@dataclass(frozen=True)
class RandomSearch(Searcher):
    """Draw configurations uniformly.

    In the logarithm where `log=True`, every option of a choice equally likely.

    A configuration that was tried before is drawn again, as long as there are others; in a space with
    finitely many it therefore tries each once and then is done.

    Raises:
        SpaceError: 100,000 draws in a row broke the sweep's constraint, before there was any trial; later the
            search is then over.
    """

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Done:
        """Draw the next configuration."""
        size = self.size(space)
        allowed = 0
        for _ in range(_TRIES if size is not None else _REFUSALS):
            config = space.sample(rng)
            if not history.allows(config):
                continue
            allowed, again = allowed + 1, config
            if history.find(config) is None:
                return config
            if allowed == _TRIES:
                break
        if not allowed and size is None:
            sentence = f"`constraint` refused {_REFUSALS:,} random configurations in a row"
            if history.num_groups:
                return Done(reason=sentence)
            raise SpaceError(f"{sentence}: loosen it.")
        if size is None:
            return again
        return self._first_untried(space, history, size)

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality

    def _first_untried(self, space: Space, history: History, size: int) -> Config | Done:
        """Random draws no longer hit what is left of a finite space, so take it in the grid's order."""
        for config in space.grid(size):
            if history.find(config) is None and history.allows(config):
                return config
        return Done(
            reason=f"all {size} configurations of the space were tried or are refused by `constraint`"
        )
