"""Rung arithmetic: how many configurations train how far. Pure numbers, nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bracket:
    """One round of successive halving: `sizes[i]` configurations train to `levels[i]`.

    Attributes:
        sizes: configurations at each rung, falling.
        levels: budgets of the rungs, rising.
    """

    sizes: tuple[int, ...]
    levels: tuple[float, ...]

    @property
    def size(self) -> int:
        """How many configurations it starts."""
        return self.sizes[0]

    def spent(self, *, resumes: bool) -> float:
        """Return the budget that it takes in all, at most: the sum over rungs of what each adds.

        Args:
            resumes: whether a rung goes on from the one below; else each trains anew.
        """
        below = (0.0, *self.levels[:-1]) if resumes else (0.0,) * len(self.levels)
        return sum(
            size * (level - done) for size, level, done in zip(self.sizes, self.levels, below, strict=True)
        )

    def of(self, size: int, eta: float) -> "Bracket":
        """Return the same levels for another number of configurations; one at least reaches the last."""
        return Bracket(sizes_of(size, len(self.levels), eta), self.levels)


def levels_of(low: float, high: float, eta: float, *, whole: bool) -> tuple[float, ...]:
    """Return the budgets low, low·eta, low·eta², ... up to `high`, which is the last.

    Args:
        low: the smallest budget, above 0.
        high: the largest.
        eta: the factor from rung to rung, at least 2.
        whole: round to whole numbers (epochs).

    Example:
        >>> levels_of(1, 27, 3, whole=True), levels_of(25, 100, 2, whole=True), levels_of(2, 9, 3, whole=True)
        ((1.0, 3.0, 9.0, 27.0), (25.0, 50.0, 100.0), (2.0, 6.0, 9.0))
    """
    count = max(0, math.ceil(math.log(high / low, eta) - 1e-9)) if high > low else 0
    return _distinct([*(low * eta**power for power in range(count)), high], whole)


def sizes_of(size: int, rungs: int, eta: float) -> tuple[int, ...]:
    """Return how many of `size` configurations are at each rung: a fraction 1/eta goes on, one at least.

    Example:
        >>> sizes_of(16, 5, 2), sizes_of(10, 4, 3)
        ((16, 8, 4, 2, 1), (10, 3, 1, 1))
    """
    sizes = [size]
    for _ in range(rungs - 1):
        sizes.append(max(1, promoted(sizes[-1], eta)))
    return tuple(sizes)


def promoted(size: int, eta: float) -> int:
    """Return how many of `size` go on: the floor of size / eta.

    Example:
        >>> promoted(9, 3), promoted(8, 3), promoted(2, 3)
        (3, 2, 0)
    """
    return math.floor(size / eta + 1e-9)


def halving_bracket(size: int, low: float, high: float, eta: float, *, whole: bool) -> Bracket:
    """Return synchronous successive halving as first taught (Jamieson & Talwalkar 2016).

    `size` configurations train to `low`; the best 1/eta go on with eta times the budget, until one is left or
    the budget is `high`.

    Example:
        >>> halving_bracket(16, 25, 1000, 2, whole=True)
        Bracket(sizes=(16, 8, 4, 2, 1), levels=(25.0, 50.0, 100.0, 200.0, 400.0))
        >>> halving_bracket(16, 25, 120, 2, whole=True)
        Bracket(sizes=(16, 8, 4, 2), levels=(25.0, 50.0, 100.0, 120.0))
    """
    sizes = [size]
    while sizes[-1] > 1:
        sizes.append(max(1, promoted(sizes[-1], eta)))
    most = low * eta ** (len(sizes) - 1)
    levels = levels_of(low, min(most, high), eta, whole=whole)
    return Bracket(tuple(sizes[: len(levels)]), levels)


def hyperband_brackets(low: float, high: float, eta: float, *, whole: bool) -> tuple[Bracket, ...]:
    """Return the brackets of Hyperband, the most exploring first.

    Li et al., *Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization*, JMLR 2018: with
    s_max the floor of log_eta(high / low), bracket s = s_max, ..., 0 starts n configurations with the budget
    high·eta⁻ˢ. The paper's algorithm writes n = ceil((s_max + 1) / (s + 1) · eta^s); its table 1 (high = 81,
    eta = 3) has the numbers of the authors' own code, n = floor((s_max + 1) / (s + 1)) · eta^s, which give
    every bracket about the same budget. Those are used here.

    Example:
        >>> [(bracket.sizes, bracket.levels) for bracket in hyperband_brackets(1, 9, 3, whole=True)]
        [((9, 3, 1), (1.0, 3.0, 9.0)), ((3, 1), (3.0, 9.0)), ((3,), (9.0,))]
    """
    most = math.floor(math.log(high / low, eta) + 1e-9)
    brackets = []
    for rungs in range(most, -1, -1):
        size = math.floor((most + 1) / (rungs + 1)) * math.ceil(eta**rungs - 1e-9)
        levels = _distinct([high * eta ** (power - rungs) for power in range(rungs + 1)], whole)
        brackets.append(Bracket(sizes_of(size, len(levels), eta), levels))
    return tuple(brackets)


def interleaved(weights: Sequence[int]) -> tuple[int, ...]:
    """Return a cycle in which place i stands `weights[i]` times, each spread as evenly as can be.

    Example:
        >>> interleaved([3, 1])
        (0, 0, 1, 0)
    """
    total = sum(weights)
    credit = [0] * len(weights)
    cycle = []
    for _ in range(total):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        chosen = max(range(len(weights)), key=lambda place: credit[place])
        credit[chosen] -= total
        cycle.append(chosen)
    return tuple(cycle)


def _distinct(levels: Sequence[float], whole: bool) -> tuple[float, ...]:
    """Round where budgets are whole, and leave out a level that is no higher than the one below."""
    rounded = [float(max(1, round(level))) if whole else float(level) for level in levels]
    return tuple(dict.fromkeys(rounded))
