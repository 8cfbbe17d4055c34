"""Simulated annealing: neighbours of where it stands, kept if they are better, and early on often if not.

Kirkpatrick, Gelatt & Vecchi, *Optimization by Simulated Annealing*, Science 1983: Metropolis acceptance and
a geometric schedule. Where a chain stands is read off the history anew for each suggestion; the random
number that decides whether a worse trial is kept is that trial's own seed.

With several objectives a walk goes down one scalarisation of them at a time, with weights by lot (Serafini,
*Simulated Annealing for Multi Objective Optimization Problems*, 1994; Czyzak & Jaszkiewicz 1998). Dominance
alone is no guide here: a point that is the best in one objective by a hair is dominated by nobody.
"""

import bisect
import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from lightning_tune.core.checks import whole
from lightning_tune.core.decision import Done
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.search.axes import axes_of
from lightning_tune.search.base import Searcher
from lightning_tune.search.front import chebyshev, scaled
from lightning_tune.search.ledger import Ledger, read
from lightning_tune.search.moves import completed, perturbed
from lightning_tune.search.random import RandomSearch

_COLDEST = 1e-4
_HALF_LIFE = 10.0
"""Trials until the temperature has halved, where neither their number nor this is known."""
_WIDEST = 0.35
_NARROWEST = 0.003
_WIDE = 0.25
"""Steps narrow with this power of the temperature where a front must be covered, with its root otherwise."""
_STARTS = 3
_TRIES = 50


@dataclass(frozen=True)
class SimulatedAnnealing(Searcher):
    """Try neighbours of the current configuration, near or far by the temperature, and move there if it pays.

    The temperature falls from 1 by the same factor with every trial. At 1 a trial that is worse by the
    spread of all scores so far is kept with a chance of 1/e, and numeric values move by a third of their
    range; when it is cold only better trials are kept, and steps are small. An option may be exchanged for
    another at any time. With several objectives each walk weighs them by lot, and anew when it restarts, so
    that the walks go to all parts of the Pareto front.

    Args:
        max_trials: the number of trials in which it cools down; None leaves it to `half_life`, and without
            that it is what the sweep has.
        half_life: trials in which the temperature halves; None is what `max_trials` asks for, or 10.
        chains: walks that go on side by side; trial k belongs to chain k modulo `chains`, and each walk has
            so many fewer steps.
        restart_after: so many trials of a chain without a new best of its own, and it goes on from the best
            configuration of all chains; with several objectives, after half as many, from the best under new
            weights.

    Raises:
        ArgumentError: a number below 1, a half-life that is not positive, or both of the first two.

    Example:
        >>> from lightning_tune.core.space import Float
        >>> from lightning_tune.testing.functions import run_function
        >>> space = {"x": Float(-5, 5), "y": Float(-5, 5)}
        >>> bowl = lambda config, step: (config["x"] - 1) ** 2 + (config["y"] + 2) ** 2
        >>> history = run_function(space, SimulatedAnnealing(max_trials=80), bowl, max_trials=80)
        >>> history.best.score < 0.1
        True
    """

    max_trials: int | None = None
    half_life: float | None = None
    chains: int = 1
    restart_after: int = 5

    def __post_init__(self) -> None:
        whole("chains", self.chains, 1)
        whole("restart_after", self.restart_after, 1)
        if self.max_trials is not None:
            whole("max_trials", self.max_trials, 1)
        if self.half_life is None:
            return
        if self.max_trials is not None:
            raise ArgumentError("`half_life` and `max_trials` both say how fast it cools: give one.")
        number = isinstance(self.half_life, int | float) and not isinstance(self.half_life, bool)
        if not number or not 0 < self.half_life < math.inf:
            raise ArgumentError(f"`half_life` must be a positive number of trials, got {self.half_life!r}.")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Done:
        """Return a neighbour of where the chain stands that was not tried and is allowed."""
        ledger = read(space, history)
        at = self._standing(ledger, history.num_groups % self.chains)
        if at is None:
            return RandomSearch().suggest(space, history, rng)
        axes = axes_of(space)
        donors = ledger.points[np.argsort(ledger.decisive(_STARTS), kind="stable")[:20]]
        temperature = self.temperature(history.num_groups)
        scale = max(_WIDEST * temperature ** (_WIDE if ledger.several else 0.5), _NARROWEST)
        rate = max(min(2.0, axes.size) / axes.size, temperature)
        for attempt in range(_TRIES):
            # where all near neighbours were tried it looks further away
            wider = 1.0 + attempt / 5
            point = perturbed(axes, ledger.points[at], min(scale * wider, 0.5), min(rate * wider, 1.0), rng)
            config = axes.encoding.decode(completed(axes, point, donors, rng))
            if history.find(config) is None and history.allows(config):
                return config
        return RandomSearch().suggest(space, history, rng)

    def resolve(self, max_trials: int | None) -> Self:
        """Return it as it cools down in a sweep of so many trials, unless it was told how fast."""
        told = self.max_trials is not None or self.half_life is not None
        return self if told else replace(self, max_trials=max_trials)

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality

    def temperature(self, number: int) -> float:
        """Return the temperature at a trial, by how many came before it; from 1 down to 0.0001."""
        half_life = self.half_life or _HALF_LIFE
        if self.max_trials is not None:
            half_life = self.max_trials / math.log2(1.0 / _COLDEST)
        return max(math.pow(2.0, -number / half_life), _COLDEST)

    def _standing(self, ledger: Ledger, chain: int) -> int | None:
        """Return which group a chain stands at; None while its first few are still random."""
        walk = (_FrontWalk if ledger.several else _Walk)(ledger, self.restart_after)
        for index in np.flatnonzero(ledger.scored).tolist():
            ordinal = ledger.groups[index].ordinal
            walk.see(index)
            if ordinal % self.chains == chain:
                walk.step(index, self.temperature(ordinal))
        return walk.at if walk.steps >= _STARTS else None


class _Walk:
    """Where a chain stands after each of its trials.

    Attributes:
        at: the group, by its index in the ledger; None before the first with a score.
        steps: trials of the chain that have a score.
    """

    def __init__(self, ledger: Ledger, restart_after: int) -> None:
        self._ledger = ledger
        self._restart_after = restart_after
        self._energies: list[float] = ledger.decisive(_STARTS).tolist()
        self._ordered: list[float] = []
        self._overall: int | None = None
        self._best = math.inf
        self._waited = 0
        self.at: int | None = None
        self.steps = 0

    def see(self, index: int) -> None:
        """Take notice of a trial of any chain."""
        bisect.insort(self._ordered, float(self._ledger.costs[index]))
        if self._overall is None or self._energies[index] < self._energies[self._overall]:
            self._overall = index

    def step(self, index: int, temperature: float) -> None:
        """Move to a trial of the chain if it is better, or worse by not too much for the temperature."""
        self.steps += 1
        rise = 0.0 if self.at is None else self._rise(self.at, index)
        heat = self._spread() * temperature
        # uniform in [0, 1), and nothing else depends on it
        chance = self._seed(index) / 2**32
        if rise <= 0 or (heat > 0 and chance < math.exp(-rise / heat)):
            self.at = index
        self._waited += 1
        if self._energies[index] < self._best:
            self._best, self._waited = self._energies[index], 0
        if self._waited >= self._restart_after:
            self._restart(index)
            self._waited = 0

    def _seed(self, index: int) -> int:
        return self._ledger.groups[index].members[0].seed

    def _restart(self, index: int) -> None:
        """Go on from elsewhere after a trial."""
        self.at = self._overall

    def _spread(self) -> float:
        """Return the interquartile range of the costs seen so far."""
        last = len(self._ordered) - 1
        return self._ordered[(3 * last + 2) // 4] - self._ordered[last // 4] if self._ordered else 0.0

    def _rise(self, before: int, after: int) -> float:
        """Return how much worse a trial is than another, at the last step that both have trained to."""
        ledger = self._ledger
        level = min(ledger.reach[before], ledger.reach[after])
        costs = [
            ledger.costs[index]
            if ledger.reach[index] == level
            else ledger.history.cost_at(ledger.groups[index], float(level))
            for index in (before, after)
        ]
        return float(costs[1] - costs[0]) if math.isfinite(costs[0]) else 0.0


class _FrontWalk(_Walk):
    """A walk with several objectives: down a scalarisation whose weights change when it restarts."""

    def __init__(self, ledger: Ledger, restart_after: int) -> None:
        super().__init__(ledger, max(restart_after // 2, 1))
        self._vectors = scaled(ledger.decisive_vectors(_STARTS))

    def see(self, index: int) -> None:
        """Take notice of a trial of any chain; the first weights are by its lot."""
        if self._overall is None:
            self._weigh(index, index)
        self._overall = index
        if math.isfinite(self._energies[index]):
            bisect.insort(self._ordered, self._energies[index])

    def _weigh(self, index: int, seen: int) -> None:
        """Draw weights by the lot of a trial, where so many groups were seen."""
        weights = np.random.default_rng(self._seed(index)).dirichlet(np.ones(self._vectors.shape[1]))
        self._energies = chebyshev(self._vectors, weights).tolist()
        self._ordered = sorted(filter(math.isfinite, self._energies[:seen]))

    def _restart(self, index: int) -> None:
        """Go on from the trial that is the best so far under new weights."""
        self._weigh(index, index + 1)
        self.at = int(np.argmin(self._energies[: index + 1]))
        self._best = self._energies[self.at]

    def _rise(self, before: int, after: int) -> float:
        least = self._energies[before]
        return self._energies[after] - least if math.isfinite(least) else 0.0
