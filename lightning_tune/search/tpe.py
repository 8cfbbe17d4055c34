"""Tree-structured Parzen estimators: where good trials are dense and all others are not.

Bergstra, Bardenet, Bengio & Kégl, *Algorithms for Hyper-Parameter Optimization*, NeurIPS 2011;
multivariate, and with the highest rung of a halving as its data, in Falkner, Klein & Hutter, *BOHB*, ICML
2018; what its parts are good for in Watanabe, *Tree-Structured Parzen Estimator: Understanding Its
Algorithm Components*, 2023. Several objectives: Ozaki, Tanigaki, Watanabe, Nomura & Onishi, *Multiobjective
Tree-Structured Parzen Estimator*, JAIR 2022, whose hypervolumes choose and weigh what crowding and equal
weights do here.

In a space with branches, the options that bring axes are drawn from the good trials before anything is
compared: densities of different dimensions are not comparable, and a narrow peak in one branch would shut
out all others. A branch that hardly any good trial is of is searched by the best of its own: it may need
tuning first.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lightning_tune.core.checks import whole
from lightning_tune.core.decision import Done
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.search.axes import Axes, axes_of
from lightning_tune.search.bandwidths import good_density, rest_density
from lightning_tune.search.base import Searcher
from lightning_tune.search.ledger import Indices, Ledger, Vector, read
from lightning_tune.search.parzen import Parzen
from lightning_tune.search.random import RandomSearch

_MAX_GOOD = 25
_MAX_REST = 1000
"""Of the trials that are not good, at most so many, the newest, are looked at."""
_LEAST_AT_A_RUNG = 6
_FEW, _ENOUGH = 2, 4
"""A branch with fewer good trials is judged by its own, if so many have a score."""
_FRONT = 1.5
"""With several objectives the good are so many times as many: they are to cover a front."""
_ROUNDS = 4
"""Draws of all candidates, before random search is asked."""


@dataclass(frozen=True)
class TPESearch(Searcher):
    """Draw candidates near the good trials, and try the one with the best chance of being one of them.

    A candidate's worth is the density of the good trials there over that of all others. Running trials
    count among the others until they have a score, so that parallel workers look elsewhere, and so do
    failed ones. Under a schedule that stops trials early, the highest rung that enough trials have reached
    decides who is good: with `schedule="hyperband"` this is BOHB. The kernels are multivariate. With several
    objectives the good are the first fronts by non-domination, the last of them thinned where it is crowded.

    Args:
        startup: so many trials are random before the first that learns, at least 2.
        good: the share of trials with a score that count as good, above 0 and below 1; 25 at most, and at
            most half of those that have reached the rung that decides. With several objectives half as many
            again.
        candidates: drawn for each suggestion, at least 1.

    Raises:
        ArgumentError: an argument out of these bounds.

    Example:
        >>> from lightning_tune.core.space import Float
        >>> from lightning_tune.testing.functions import run_function
        >>> space = {"x": Float(-5, 5), "y": Float(-5, 5)}
        >>> bowl = lambda config, step: (config["x"] - 1) ** 2 + (config["y"] + 2) ** 2
        >>> history = run_function(space, TPESearch(), bowl, max_trials=60)
        >>> history.best.score < 0.1
        True
    """

    startup: int = 6
    good: float = 0.1
    candidates: int = 48

    def __post_init__(self) -> None:
        whole("startup", self.startup, 2)
        whole("candidates", self.candidates, 1)
        if isinstance(self.good, bool) or not isinstance(self.good, int | float) or not 0 < self.good < 1:
            raise ArgumentError(f"`good` must be a share above 0 and below 1, got {self.good!r}.")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Done:
        """Return the best candidate that was not tried and is allowed."""
        ledger = read(space, history)
        if len(ledger) < self.startup or ledger.scored.sum() < 3:
            return RandomSearch().suggest(space, history, rng)
        axes = axes_of(space)
        costs = ledger.decisive(least=max(_LEAST_AT_A_RUNG, min(axes.size + 1, 20)))
        candidates = self._candidates(axes, ledger, costs, rng)
        for point in candidates.best_first(rng):
            config = axes.encoding.decode(point)
            if history.find(config) is None and history.allows(config):
                return config
        return RandomSearch().suggest(space, history, rng)

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality

    def _candidates(
        self, axes: Axes, ledger: Ledger, costs: Vector, rng: np.random.Generator
    ) -> "Candidates":
        """Return where to draw from, and which options of the choices with branches to take."""
        points, scored = ledger.points, ledger.scored
        # of a rung that only the best have reached, more than the usual share are good
        share = self.good * (_FRONT if ledger.several else 1.0)
        good, rest = split(costs, share * scored.sum())
        density = good_density(axes, points[good], ledger.several)
        drawn = density.draw(1, rng)
        alike = (axes.structure(points) == axes.structure(axes.masked(drawn))).all(axis=1)
        if alike[good].sum() < _FEW and np.isfinite(costs[alike]).sum() >= _ENOUGH:
            # hardly any of the good trials is of this branch, so the good ones are the best within it
            there = np.flatnonzero(alike)
            good, rest = (there[part] for part in split(costs[alike], share * scored[alike].sum()))
            density = good_density(axes, points[good], ledger.several)
        return Candidates(
            axes=axes,
            good=density,
            rest=rest_density(axes, points[rest]),
            options=drawn[0, axes.branching],
            number=self.candidates,
        )


def split(costs: Vector, number: float) -> tuple[Indices, Indices]:
    """Return the indices of the good trials, best first, and of all others, oldest first.

    Args:
        costs: (num_trials,), lower is better, +inf of those that cannot be good; at least one is finite.
        number: how many are good, rounded up: at most half of those that can be and 25, at least 2 of 3.
    """
    able = int(np.isfinite(costs).sum())
    wanted = min(math.ceil(number), math.ceil(able / 2), _MAX_GOOD)
    kept = max(min(max(wanted, 2), able - 1), 1)
    order = np.argsort(costs, kind="stable")
    return order[:kept], np.sort(order[kept:])[-_MAX_REST:]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Points drawn from the density of the good trials, of one suggestion.

    Attributes:
        axes: those of the space.
        good: the density they are drawn from.
        rest: the density that they should avoid.
        options: (num_branching,), where all of them lie on the choices with branches.
        number: drawn in a round.
    """

    axes: Axes
    good: Parzen
    rest: Parzen
    options: Vector
    number: int

    def best_first(self, rng: np.random.Generator) -> Iterator[Vector]:
        """Yield points (NaN where inactive), in each round those first that are likeliest good."""
        for _ in range(_ROUNDS):
            drawn = self.good.draw(self.number, rng)
            drawn[:, self.axes.branching] = self.options
            points = self.axes.masked(drawn)
            worth = self.good.log_density(points) - self.rest.log_density(points)
            yield from points[np.argsort(-worth, kind="stable")]
