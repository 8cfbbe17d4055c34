"""When a trial has reached a level, what it had scored by then, and the rungs that somebody asked for.

The score at a level is that of the reports up to and including the first one at or past it, within the legs
that led there: what was known when the level was reached, and what a rung compares for ever after. With
several objectives it is the last finite one of these reports.
"""

import bisect
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning_tune.core.rung import Measure, Rung, Share
from lightning_tune.core.trial import Costs, Group, Trial

if TYPE_CHECKING:
    from lightning_tune.core.history import History


class Levels:
    """The rungs of one history, brought up to date by its events.

    Args:
        history: whose trials they are.
    """

    def __init__(self, history: "History") -> None:
        self._history = history
        self._rungs: dict[tuple[float, Share | None, Measure], Rung] = {}
        self._levels: list[float] = []
        self._at: dict[float, list[Rung]] = {}

    def rung(self, level: float, share: Share | None, measure: Measure) -> Rung:
        """Return the rung at a level, made from all trials when it is first asked for."""
        key = (level, share, measure)
        found = self._rungs.get(key)
        if found is None:
            found = self._rungs[key] = Rung(
                level, share, self.group_costs if measure == "cost" else self.group_means
            )
            if level not in self._at:
                bisect.insort(self._levels, level)
            self._at.setdefault(level, []).append(found)
            for group in self._history.groups:
                if self.group_reached(group, level):
                    found.enter(group)
        return found

    # -- reading

    def reached(self, trial: Trial, level: float) -> bool:
        """Return whether a trial has trained to a level, or completed short of it in a leg that led there."""
        return trial.step >= level or (trial.state == "completed" and trial.budget >= level)

    def group_reached(self, group: Group, level: float) -> bool:
        """Return whether every repeat of a group has reached a level.

        One that ended short of it (its Trainer stopped early, or a user) holds its place where the others go
        on.
        """
        if len(group.members) == 1:
            return group.complete and self.reached(group.members[0], level)
        return group.complete and all(
            self.reached(member, level)
            or (member.state in ("completed", "stopped") and group.budget >= level)
            for member in group.members
        )

    def costs(self, trial: Trial, level: float) -> Costs | None:
        """Return a trial's score up to a level, lower is better.

        None without a finite one, for a trial that diverged there, and for one that failed in a leg that ends
        at the level or before it got there.
        """
        objective, costs = self._history.objective, self._reported(trial, level)
        if not objective.scalar:
            return next(filter(_finite, reversed(costs)), None)
        found = costs[-1:] if objective.score == "last" else [min(costs)] if costs else []
        return next(filter(_finite, found), None)

    def group_costs(self, group: Group, level: float) -> Costs | None:
        """Return the mean of the members' costs at a level; None if any has none."""
        return _mean([self.costs(member, level) for member in group.members])

    def group_means(self, group: Group, level: float) -> Costs | None:
        """Return the mean over members of the mean costs of their reports up to a level."""
        return _mean([_mean(self._reported(member, level)) for member in group.members])

    def _reported(self, trial: Trial, level: float) -> list[Costs]:
        """Return the costs of the reports up to a level, in the order they came; none where it is lost."""
        history = self._history
        last = next((begun.leg for begun in trial.legs if begun.budget >= level), trial.leg)
        lost = trial.state == "failed" and last == trial.leg  # a failure further on changes nothing here
        if lost and (trial.step < level or trial.budget <= level):
            return []
        costs = []
        for row in trial.rows:
            report = history.report(row)
            if report.leg > last:
                break
            if history.anew and report.leg < last:
                continue
            costs.append(history.objective.costs(report.values))
            if report.step >= level:
                return costs if _finite(costs[-1]) else []  # it diverged there
        return costs

    # -- following

    def advanced(self, trial: Trial, before: float) -> None:
        """Let a trial enter the levels that it has passed since it stood at the step `before`."""
        self._enter(trial, before, trial.step)

    def began(self, trial: Trial) -> None:
        """Note that a trial trains on: it waits no more at the levels below its new budget."""
        for level in self._levels[: bisect.bisect_left(self._levels, trial.budget)]:
            for rung in self._at[level]:
                rung.go_on(trial.group)

    def ended(self, trial: Trial) -> None:
        """Note that a trial has ended: one that completed early holds its place in the levels of its leg."""
        group = self._history.group(trial.group)
        for rungs in self._at.values():
            for rung in rungs:
                if group.ended:
                    rung.leave(trial.group)
                if trial.state == "failed" and trial.group in rung:
                    rung.enter(group)
        if trial.state == "completed" or len(group.members) > 1:
            self._enter(trial, 0.0, group.budget)

    def _enter(self, trial: Trial, above: float, upto: float) -> None:
        group = self._history.group(trial.group)
        first = bisect.bisect_right(self._levels, above)
        for level in self._levels[first : bisect.bisect_right(self._levels, upto)]:
            if self.group_reached(group, level):
                for rung in self._at[level]:
                    if trial.group not in rung:
                        rung.enter(group)


def _finite(costs: Costs) -> bool:
    return all(map(math.isfinite, costs))


def _mean(costs: Sequence[Costs | None]) -> Costs | None:
    """Return the mean, objective by objective; None of none, or where any is missing or not finite."""
    found = [each for each in costs if each is not None and _finite(each)]
    if not found or len(found) < len(costs):
        return None
    return tuple(math.fsum(column) / len(found) for column in zip(*found, strict=True))
