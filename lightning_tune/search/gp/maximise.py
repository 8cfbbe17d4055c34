"""Where an acquisition function is largest: quasi-random and local candidates, then climbs from the best few.

A climb alternates L-BFGS-B over the continuous axes with a search over the values of each discrete axis,
the others held, until neither helps. Integers, steps and options are only ever looked at where their values
lie.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lightning_tune.search.gp.kernel import Matrix, Vector
from lightning_tune.search.gp.layout import Layout

SPREAD = 512
"""Quasi-random candidates."""
LOCAL = 64
"""Candidates around each of the best points so far."""
CLIMBS = 4
"""Candidates to climb from."""
ROUNDS = 3
NEIGHBOURS = 12
"""Values of a discrete axis that a step looks at."""


class Worth(Protocol):
    """What is maximised."""

    def __call__(self, points: Matrix) -> Vector:
        """Return the value of each point, of shape (num,)."""

    def with_slope(self, point: Vector) -> tuple[float, Vector]:
        """Return the value of one point and its slope along each axis."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Maximiser:
    """One maximisation.

    Attributes:
        layout: the space.
        acquisition: what is maximised.
        admissible: whether a point may be the answer: not tried before, and allowed.
        rng: draws the candidates.
        held: an axis and the place on it where the answer must lie; None is anywhere.
    """

    layout: Layout
    acquisition: Worth
    admissible: Callable[[Vector], bool]
    rng: np.random.Generator
    held: tuple[int, float] | None = None

    def best(self, anchors: Matrix) -> Vector | None:
        """Return the best admissible point found, near the anchors too; None if there is none."""
        candidates = np.concatenate([self._spread(), self._around(anchors)])
        if self.held is not None:
            candidates = self.layout.hold(candidates, *self.held, self.rng)
        values = self.acquisition(candidates)
        starts = self._starts(candidates, values)
        if not starts:
            return None
        climbed = [self._climb(candidates[index], float(values[index])) for index in starts]
        return max(climbed, key=lambda pair: pair[1])[0]

    # -- candidates

    def _spread(self) -> Matrix:
        """Return points all over the space: the whole of a small finite one."""
        if self.layout.all_points is not None:
            return self.layout.all_points
        return self.layout.settle(quasi_random(SPREAD, self.layout.axes, self.rng))

    def _around(self, anchors: Matrix) -> Matrix:
        """Return perturbations of the anchors, 0.2 to 0.002 wide, in about five axes at a time."""
        axes, rng = self.layout.axes, self.rng
        points = np.repeat(np.where(np.isnan(anchors), 0.5, anchors), LOCAL, axis=0)
        scale = 0.2 * 10.0 ** (-2.0 * rng.random((len(points), 1)))
        moves = rng.random(points.shape) < min(1.0, 5.0 / axes)
        moves[np.arange(len(points)), rng.integers(axes, size=len(points))] = True
        moved = np.where(moves, points + scale * rng.standard_normal(points.shape), points)
        moved = np.abs(moved)
        moved = 1.0 - np.abs(1.0 - moved)  # reflected at both ends
        switch = moves & self.layout.unordered & (rng.random(points.shape) < 0.3)
        return self.layout.settle(np.where(switch, rng.random(points.shape), moved))

    def _starts(self, candidates: Matrix, values: Vector) -> list[int]:
        """Return the best admissible candidates, no two of them close to each other."""
        features = self.layout.features(candidates)
        chosen: list[int] = []
        for index in np.argsort(-values, kind="stable"):
            if chosen and ((features[chosen] - features[index]) ** 2).sum(1).min() < 0.01 * self.layout.axes:
                continue
            if self.admissible(candidates[index]):
                chosen.append(int(index))
            if len(chosen) == CLIMBS:
                break
        return chosen

    # -- climbing

    def _climb(self, point: Vector, value: float) -> tuple[Vector, float]:
        for _ in range(ROUNDS):
            before = value
            point, value = self._slide(point, value)
            point, value = self._step(point, value)
            if not self._discrete(point).any() or value - before < 1e-3:
                break
        return point, value

    def _discrete(self, point: Vector) -> npt.NDArray[np.bool_]:
        """Return which axes are searched value by value, of shape (axes,)."""
        discrete: npt.NDArray[np.bool_] = ~self.layout.continuous & ~np.isnan(point)
        if self.held is not None:
            discrete[self.held[0]] = False
        return discrete

    def _slide(self, point: Vector, value: float) -> tuple[Vector, float]:
        """Climb along the continuous axes."""
        from scipy.optimize import minimize

        axes = np.flatnonzero(self.layout.continuous & ~np.isnan(point))
        if not len(axes):
            return point, value

        def descend(places: Vector) -> tuple[float, Vector]:
            here = point.copy()
            here[axes] = places
            height, slope = self.acquisition.with_slope(here)
            return -height, -slope[axes]

        found = minimize(
            descend, point[axes], jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * len(axes),
            options={"maxiter": 30, "maxfun": 40},
        )  # fmt: skip
        reached = point.copy()
        reached[axes] = np.clip(found.x, 0.0, 1.0)
        return self._back_off(point, value, reached, -float(found.fun))

    def _back_off(self, point: Vector, value: float, reached: Vector, height: float) -> tuple[Vector, float]:
        """Return the point reached; where it is not admissible, one on the way there that is, and better."""
        for _ in range(5):
            if height <= value:
                break
            if self.admissible(reached):
                return reached, height
            reached = (point + reached) / 2.0
            height = float(self.acquisition(reached[None, :])[0])
        return point, value

    def _step(self, point: Vector, value: float) -> tuple[Vector, float]:
        """Move each discrete axis to the best of its values, one after the other."""
        for axis in np.flatnonzero(self._discrete(point)):
            others = self._values(point, int(axis))
            heights = self.acquisition(others)
            for index in np.argsort(-heights, kind="stable"):
                if heights[index] <= value:
                    break
                if self.admissible(others[index]):
                    point, value = others[index], float(heights[index])
                    break
        return point, value

    def _values(self, point: Vector, axis: int) -> Matrix:
        """Return the point with other values of a discrete axis: all, or the nearest and some at random."""
        places = self.layout.places[axis]
        assert places is not None
        if len(places) > NEIGHBOURS and not self.layout.unordered[axis]:
            near = np.argsort(np.abs(places - point[axis]), kind="stable")[: NEIGHBOURS // 2 + 1]
            far = self.rng.integers(len(places), size=NEIGHBOURS // 2)
            places = places[np.union1d(near, far)]
        others = np.repeat(np.where(np.isnan(point), 0.5, point)[None, :], len(places), axis=0)
        others[:, axis] = places
        return self.layout.settle(others)


def quasi_random(num: int, axes: int, rng: np.random.Generator) -> Matrix:
    """Return scrambled Sobol points, of shape (num, axes)."""
    from scipy.stats import qmc

    return np.asarray(qmc.Sobol(axes, scramble=True, rng=rng).random(num))
