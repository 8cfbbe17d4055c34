"""Where the configurations of a history lie in the unit cube, for the searchers that learn.

A configuration that is no longer one of the space (it was amended) is left out. Where one lies never changes,
so it is remembered from call to call.
"""

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
