"""What all trials of a sweep promise, and some configurations that might be begun: the view of freeze-thaw.

Pure: the same history and generator give the same view.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.trial import Group
from lightning_tune.schedule.curves_of import UNLIMITED, Array, Curves, Limits, curves_of, unit_cube
from lightning_tune.schedule.prospects import prospects
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.maximise import quasi_random
from lightning_tune.search.observed import placed

if TYPE_CHECKING:
    from lightning_tune.curves.prediction import Prediction

MOST_KNOWN = 200
"""Trials that are modelled; of those that have ended the best and the newest."""
SPREAD = 128
"""New configurations all over the space."""
LEADERS, NEAR = 3, 24
"""New configurations near each of the best."""
CROWDED = 0.1
"""How near two new configurations may lie without telling the same, as a share of the cube's diagonal."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Paused:
    """A trial that waits.

    Attributes:
        group: its group.
        worth: the expected improvement a unit of the budget, if it goes on.
        chance: the probability that it beats the best.
        end: what its cost will have come to at the full budget, (1,).
    """

    group: Group
    worth: float
    chance: float
    end: "Prediction"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outlook:
    """What a sweep may do next.

    Attributes:
        history: of the sweep.
        layout: of its space.
        paused: the trials that wait, the most promising first.
        points: (num_points, num_axes), new configurations, encoded.
        places: (num_points, num_columns), the same in the unit cube.
        worth: (num_points,), what they promise.
        crowd: (num_running, num_columns), those that have begun and not reported.
    """

    history: History
    layout: Layout
    paused: Sequence[Paused]
    points: Array
    places: Array
    worth: Array
    crowd: Array

    def newcomers(self) -> Iterator[tuple[float, Config]]:
        """Yield what new configurations promise, best first, and the less the nearer to those before."""
        left = self.worth.copy()
        for place in self.crowd:
            left *= self._apart(place)
        while left.max(initial=0.0) > 0.0:
            index = int(left.argmax())
            promise, left[index] = float(left[index]), 0.0
            config = self.layout.encoding.decode(self.points[index])
            if self.history.find(config) is None and self.history.allows(config):
                yield promise, config
                left *= self._apart(self.places[index])

    def _apart(self, place: Array) -> Array:
        """Return from 0 at a place to 1 far away from it, (num_points,)."""
        square = ((self.places - place) ** 2).mean(axis=1)
        return np.asarray(1.0 - np.exp(-0.5 * square / CROWDED**2))


def look(
    history: History,
    layout: Layout,
    *,
    full: float,
    rng: np.random.Generator,
    limits: Limits = UNLIMITED,
) -> Outlook:
    """Return what paused trials and new configurations promise.

    Args:
        history: of the sweep; at least one trial of the space has a score.
        layout: of the space.
        full: the full budget.
        rng: draws the new configurations.
        limits: what costs cannot leave.
    """
    every, all_groups = placed(layout.encoding, history)
    kept = relevant(all_groups)
    tried, groups = every[kept], [all_groups[index] for index in kept]
    fresh = _fresh(layout, tried, groups, rng)
    places = unit_cube(layout.encoding, np.concatenate([tried, fresh]))
    spent = [min(member.step for member in group.members) for group in groups] + [0.0] * len(fresh)
    found = prospects(
        _with_fresh(curves_of(history, groups, full=full, limits=limits), groups, len(fresh), full),
        places,
        np.array(spent),
        full,
        min(group.cost_so_far for group in all_groups),
    )
    number = len(groups)
    paused = [
        Paused(
            group=group,
            worth=float(found.worth[row]),
            chance=float(found.chance[row]),
            end=found.ends.rows(np.array([row])),
        )
        for row, group in enumerate(groups)
        if group.state == "paused"
    ]
    begun = [
        group.state == "running" and not any(member.rows for member in group.members) for group in groups
    ]
    return Outlook(
        history=history,
        layout=layout,
        paused=sorted(paused, key=lambda each: (-each.worth, each.group.number)),
        points=fresh,
        places=places[number:],
        worth=found.worth[number:],
        crowd=places[:number][begun],
    )


def relevant(groups: Sequence[Group]) -> list[int]:
    """Return which groups are modelled: all that have not ended, of the others the best and newest."""
    ended = [index for index, group in enumerate(groups) if group.ended]
    room = max(MOST_KNOWN - (len(groups) - len(ended)), 0)
    best = sorted(ended, key=lambda index: (groups[index].cost_so_far, index))[: room // 2]
    newest = [index for index in reversed(ended) if index not in set(best)][: room - len(best)]
    dropped = set(ended) - set(best) - set(newest)
    return [index for index in range(len(groups)) if index not in dropped]


def _fresh(layout: Layout, tried: Array, groups: Sequence[Group], rng: np.random.Generator) -> Array:
    """Return what might be begun: the whole of a small space, else some everywhere and near the best."""
    if layout.all_points is not None:
        return layout.all_points
    order = sorted(range(len(groups)), key=lambda index: (groups[index].cost_so_far, index))
    near = np.repeat(np.nan_to_num(tried[order[:LEADERS]], nan=0.5), NEAR, axis=0)
    scale = 0.2 * 10.0 ** (-1.5 * rng.random((len(near), 1)))
    near = np.abs(near + scale * rng.standard_normal(near.shape))
    near = 1.0 - np.abs(1.0 - near)  # reflected at both ends
    jumps = layout.unordered & (rng.random(near.shape) < 0.2)
    near = np.where(jumps, rng.random(near.shape), near)
    return layout.settle(np.concatenate([quasi_random(SPREAD, layout.axes, rng), near]))


def _with_fresh(curves: Curves, groups: Sequence[Group], number: int, full: float) -> Curves:
    """Return curves with so many empty ones; a failed trial's is as bad as the worst, from end to end."""
    width = max(curves.costs.shape[1], math.ceil(float(curves.columns(full))))
    costs = np.full((len(groups) + number, width), np.nan)
    costs[: len(groups), : curves.costs.shape[1]] = curves.costs
    failed = np.flatnonzero([group.state == "failed" for group in groups])
    costs[failed] = np.nan
    costs[failed] = np.nanmax(costs)
    return replace(curves, costs=costs)
