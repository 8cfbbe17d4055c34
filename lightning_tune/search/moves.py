"""Small changes of points of the unit cube that respect types, bounds and branches.

A numeric axis moves by a Gaussian and turns back at its bounds, one with few values at least to a
neighbour, a categorical one to any other value. A branch that is new to a point brings axes: they are taken
from the best point that has them, or drawn.
"""

import numpy as np

from lightning_tune.search.axes import Axes, Table
from lightning_tune.search.ledger import Mask, Matrix, Vector


def perturbed(axes: Axes, point: Vector, scale: float, rate: float, rng: np.random.Generator) -> Vector:
    """Return a copy with some axes changed, at least one.

    Args:
        axes: those of the space.
        point: (num_axes,), NaN where inactive.
        scale: the standard deviation of a numeric axis's step, in the unit interval.
        rate: how likely each axis is to change.
        rng: what is drawn with.
    """
    active = ~np.isnan(point)
    chosen = _some(active, rate, rng)
    moved = point.copy()
    steps = rng.normal(0.0, scale, axes.size)
    uniform = rng.random(axes.size)
    wide = axes.smooth[chosen[axes.smooth]]
    least = axes.least[chosen[axes.smooth]] * 2.0  # a whole bin: to the next value
    step = np.where(np.abs(steps[wide]) < least, np.copysign(least, steps[wide]), steps[wide])
    moved[wide] = _stepped(point[wide], step)
    for table in axes.tables:
        if chosen[table.axis]:
            moved[table.axis] = _other(table, point[table.axis], steps[table.axis], uniform[table.axis])
    return moved


def reflected(places: Vector) -> Vector:
    """Return places folded back into [0, 1] at its bounds.

    Example:
        >>> reflected(np.array([-0.25, 0.5, 1.25])).tolist()
        [0.25, 0.5, 0.75]
    """
    folded = np.abs(places) % 2.0
    return np.asarray(np.where(folded > 1.0, 2.0 - folded, folded))


def _stepped(places: Vector, steps: Vector) -> Vector:
    """Return places moved by steps, the other way where that leads out of [0, 1]."""
    ahead = places + steps
    return reflected(np.where((ahead < 0.0) | (ahead > 1.0), places - steps, ahead))


def completed(axes: Axes, point: Vector, donors: Matrix, rng: np.random.Generator) -> Vector:
    """Return a point with a value at every axis that is active, and NaN at all others.

    Args:
        axes: those of the space.
        point: (num_axes,), with a value at every axis outside of branches.
        donors: (num_donors, num_axes), best first: who gives a branch's axes where the point lacks them.
        rng: what is drawn with where no donor has them.
    """
    drawn = rng.random(axes.size)
    if not len(axes.branching):
        return point
    known = ~np.isnan(donors)
    filled = np.where(np.isnan(point), drawn, point)
    # a choice decides what is below it, so a nested branch may need another look
    for _ in range(len(axes.branching)):
        lacking = axes.active(filled[None])[0] & np.isnan(point)
        first = known.argmax(axis=0)
        taken = lacking & known.any(axis=0)
        filled[taken] = donors[first[taken], np.flatnonzero(taken)]
    result: Vector = axes.masked(filled[None])[0]
    return result


def _some(active: Mask, rate: float, rng: np.random.Generator) -> Mask:
    """Return which active axes change, at least one."""
    chosen = active & (rng.random(len(active)) < rate)
    if not chosen.any():
        chosen[rng.choice(np.flatnonzero(active))] = True
    return chosen


def _other(table: Table, place: float, step: float, uniform: float) -> float:
    """Return another value of an axis with few: any, or in the step's direction at least a neighbour."""
    number = len(table.centres)
    index = int(table.index(np.array([place]))[0])
    if number == 1:
        return float(table.centres[0])
    if table.categorical:
        other = int(uniform * (number - 1))
        return float(table.centres[other + (other >= index)])
    target = float(_stepped(np.array([place]), np.array([step]))[0])
    new = int(table.index(np.array([target]))[0])
    if new == index:
        new = index + (1 if step > 0 else -1)
        new = index - (new - index) if not 0 <= new < number else new
    return float(table.centres[new])
