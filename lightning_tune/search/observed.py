"""What a model-based searcher sees of a history: points in the unit cube, their costs, and what still runs.

Built from the groups, so repeats count once with their mean. A configuration that is no longer one of the
space (it was amended) is left out. Where a configuration lies never changes, so it is remembered from call to
call.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from lightning_tune.core.encode import Encoding
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Group
from lightning_tune.errors import SpaceError

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observed:
    """The trials of a sweep as arrays, in the order of their starts.

    Attributes:
        points: (num_trials, num_axes) in the unit cube, NaN where an axis is inactive.
        costs: (num_trials,), lower is better; +inf of a trial that failed, NaN of one without a finite
            report yet.
        steps: (num_trials,), how far each has trained.
        running: (num_trials,), whether it has not ended and may still change (it trains, or waits at a rung).
        numbers: (num_trials,), the numbers of the groups.
    """

    points: Matrix
    costs: npt.NDArray[np.float64]
    steps: npt.NDArray[np.float64]
    running: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)


def observe(encoding: Encoding, history: History) -> Observed:
    """Return what a history holds of configurations of the encoding's space."""
    points, groups = placed(encoding, history)
    return Observed(
        points=points.copy(),
        costs=np.array([_cost(group) for group in groups], dtype=np.float64),
        steps=np.array([max(member.step for member in group.members) for group in groups], dtype=np.float64),
        running=np.array([not group.ended for group in groups], dtype=np.bool_),
        numbers=np.array([group.number for group in groups], dtype=np.int64),
    )


def placed(encoding: Encoding, history: History) -> tuple[Matrix, Sequence[Group]]:
    """Return the points of a history's groups, of shape (num_groups, num_axes), and the groups.

    Those whose configuration is not one of the encoding's space are left out.
    """
    known = _places.setdefault(history, {}).setdefault(encoding.space, _Places(np.empty((64, encoding.size))))
    groups = history.groups
    for place in range(known.seen, len(groups)):
        point = _point(encoding, groups[place])
        if point is not None:
            known.add(place, point)
    known.seen = len(groups)
    return known.points[: len(known.places)], [groups[place] for place in known.places]


@lru_cache(maxsize=16)
def encoding_of(space: Space) -> Encoding:
    """Return the encoding of a space; made once."""
    return Encoding(space)


@dataclass(slots=True)
class _Places:
    """How many groups were seen, which of them are of the space, and where those lie (the first rows).

    It holds no group, which would hold its history, which would never be forgotten.
    """

    points: Matrix
    seen: int = 0
    places: list[int] = field(default_factory=list)

    def add(self, place: int, point: npt.NDArray[np.float64]) -> None:
        """Note where a group lies; a full array gives way to a new one, those handed out stay as they are."""
        if len(self.places) == len(self.points):
            self.points = np.concatenate([self.points, np.empty_like(self.points)])
        self.points[len(self.places)] = point
        self.places.append(place)


_places: WeakKeyDictionary[History, dict[Space, _Places]] = WeakKeyDictionary()


def _point(encoding: Encoding, group: Group) -> npt.NDArray[np.float64] | None:
    try:
        return encoding.encode(group.config)
    except SpaceError:
        return None


def _cost(group: Group) -> float:
    if group.state == "failed":
        return math.inf
    costs = [member.best_cost for member in group.members if math.isfinite(member.best_cost)]
    return math.fsum(costs) / len(costs) if costs else math.nan
