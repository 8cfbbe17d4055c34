"""Children of a population in the unit cube: by crossover, by differences, or from the parents' covariance.

The base of a child is one parent, whose branches it has unless another parent's option is crossed in or
mutated.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lightning_tune.search.axes import Axes
from lightning_tune.search.ledger import Mask, Matrix, Vector
from lightning_tune.search.moves import completed, perturbed, reflected

_COVARIANCE = 0.2
_DIFFERENCE = 0.3
"""How often a child is made by each; the rest by crossover alone."""
_MUTATED_ANYHOW = 0.3
"""How often a child of the first two kinds is mutated as well."""
_STEP = 1.3
"""Times the parents' own covariance: selection narrows it with every trial."""
_FACTOR = 0.8
_TOWARDS = 0.8
"""How likely each axis takes part in a step along a difference."""
_MUTATION_STEP = 1.6
_LEAST_SPREAD = 0.01


@dataclass(frozen=True)
class Brood:
    """What children a population may have.

    Args:
        axes: those of the space.
        parents: (num_parents, num_axes), best first, NaN where inactive.
        tournament: the better of so many drawn at random becomes a parent.
        mutation: how likely each value of a crossed child is to change.
    """

    axes: Axes
    parents: Matrix
    tournament: int
    mutation: float

    def child(self, rng: np.random.Generator) -> Vector:
        """Return a point, (num_axes,), NaN where inactive."""
        base, mate = self._parent(rng), self._parent(rng)
        child = self._crossed(base, mate, rng)
        kind = rng.random()
        if kind < _COVARIANCE:
            child = self._numeric(child, base, self._drawn(base, rng))
        elif kind < _COVARIANCE + _DIFFERENCE:
            child = self._numeric(child, base, self._differing(base, mate, rng))
        if kind >= _COVARIANCE + _DIFFERENCE or rng.random() < _MUTATED_ANYHOW:
            child = self._mutated(child, rng)
        return completed(self.axes, child, self.parents, rng)

    def _parent(self, rng: np.random.Generator) -> Vector:
        chosen: Vector = self.parents[rng.integers(0, len(self.parents), self.tournament).min()]
        return chosen

    def _crossed(self, base: Vector, mate: Vector, rng: np.random.Generator) -> Vector:
        """Return a child with each value of one of its parents where both have one."""
        taken = ~np.isnan(base) & ~np.isnan(mate) & (rng.random(self.axes.size) < 0.5)
        return np.where(taken, mate, base)

    def _numeric(self, child: Vector, base: Vector, moved: Vector) -> Vector:
        """Return a child with the moved values on the numeric axes that its base has."""
        return np.where(self._is_numeric & ~np.isnan(base), reflected(moved), child)

    def _drawn(self, base: Vector, rng: np.random.Generator) -> Vector:
        """Return a draw around the mean or the base, with the covariance of those of its structure."""
        number = len(self.parents)
        alike = (self.axes.structure(self.parents) == self.axes.structure(base[None])).all(axis=1)
        weights = (np.log(number + 0.5) - np.log(np.arange(1, number + 1)))[alike]
        weights /= weights.sum()
        points = self.parents[alike]
        mean = weights @ points
        # sum_i sqrt(w_i) z_i (x_i - m) has the covariance sum_i w_i (x_i - m)(x_i - m)^T
        step = (np.sqrt(weights) * rng.normal(size=len(points))) @ (points - mean)
        centre = mean if rng.random() < 0.5 else base
        return np.asarray(centre + _STEP * step)

    def _differing(self, base: Vector, mate: Vector, rng: np.random.Generator) -> Vector:
        """Return the base moved towards the mate or the best, and along the difference of two others."""
        first, second = self.parents[rng.integers(0, len(self.parents), 2)]
        target = self.parents[0] if rng.random() < 0.5 else mate
        step = _FACTOR * rng.random() * np.nan_to_num(first - second)
        step += rng.random() * np.nan_to_num(target - base)
        return base + np.where(rng.random(self.axes.size) < _TOWARDS, step, 0.0)

    def _mutated(self, child: Vector, rng: np.random.Generator) -> Vector:
        """Return a child of which some values are changed, by the parents' spread; often none is."""
        rate = max(self.mutation, 1.0 / self.axes.size)
        chosen = rng.random(self.axes.size) < rate
        moved = perturbed(self.axes, child, _MUTATION_STEP * self._spread, 1.0, rng)
        return np.where(chosen, moved, child)

    @cached_property
    def _is_numeric(self) -> Mask:
        mask = np.zeros(self.axes.size, dtype=np.bool_)
        mask[self.axes.smooth] = True
        for table in self.axes.tables:
            mask[table.axis] = not table.categorical
        return mask

    @cached_property
    def _spread(self) -> float:
        """The mean over numeric axes of the parents' standard deviation."""
        columns = [column[~np.isnan(column)] for column in self.parents[:, self._is_numeric].T]
        spreads = [max(float(column.std()), _LEAST_SPREAD) for column in columns if len(column) > 1]
        return sum(spreads) / len(spreads) if spreads else 0.2
