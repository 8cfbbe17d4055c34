"""What a Pareto front leaves undominated, cut into boxes that do not overlap.

A sweep along the last objective: between two levels of it the section is what the points below dominate not
in one objective fewer, and a box of the section lives on until a point cuts it (the sweep of Lacour, Klamroth
& Fonseca, *A box decomposition algorithm to compute the hypervolume indicator*, 2017, with the section cut
anew at each level, which is enough for the few dozen points of a front). Pairs give strips, one more than
there are points; triples two a point.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from lightning_tune.search.gp.kernel import Matrix, Vector

Point: TypeAlias = tuple[float, ...]
Box: TypeAlias = tuple[tuple[float, float], ...]
"""(lower, upper) in each objective."""


def undominated(front: Matrix, reference: Vector) -> tuple[Matrix, Matrix]:
    """Return the lower and upper corners of boxes, each of shape (num_boxes, num_objectives).

    Together they are all that is below the reference point and that the front does not dominate; a lower
    corner may be -inf.

    Args:
        front: (num_points, num_objectives), lower is better; what is not below the reference is ignored.
        reference: (num_objectives,).

    Example:
        >>> lower, upper = undominated(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
        >>> sorted(upper.tolist())
        [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]
    """
    inside = front[(front < reference).all(axis=1)]
    boxes = np.array(sorted(_cut(sorted(map(tuple, inside.tolist())), tuple(reference.tolist()))))
    return boxes[:, :, 0], boxes[:, :, 1]


def _cut(points: Sequence[Point], corner: Point) -> set[Box]:
    """Return the boxes that points leave below a corner."""
    if len(corner) == 1:
        return {((-math.inf, min([point[0] for point in points] + [corner[0]])),)}
    ordered = sorted(points, key=lambda point: point[-1])
    done: set[Box] = set()
    begun: dict[Box, float] = {}
    floor = -math.inf
    for index, level in enumerate([*(point[-1] for point in ordered), corner[-1]]):
        if level <= floor:
            continue
        section = _cut([point[:-1] for point in ordered[:index]], corner[:-1])
        done |= {(*box, (start, floor)) for box, start in begun.items() if box not in section}
        begun = {box: begun.get(box, floor) for box in section}
        floor = level
    return done | {(*box, (start, floor)) for box, start in begun.items()}
