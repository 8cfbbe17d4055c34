"""One generation of a population, read off the history: who is in it, how they stand, what has been done."""

import math
from collections.abc import Sequence

from lightning_tune.core.history import History
from lightning_tune.core.pareto import pareto_order
from lightning_tune.core.trial import Costs, Trial
from lightning_tune.schedule.ranking import ordinal


class Generation:
    """The trials that train, or have trained, to one level.

    How they stand there is settled once all have come to it or ended; it does not change while some are
    replaced and others go on, so a decision that was cut short is found again.

    Args:
        history: all trials.
        level: where the generation ends.
        levels: where all generations end, rising.

    Attributes:
        level: where the generation ends.
        trials: its trials, in the order of their numbers.
        ranked: the same, best first, ties to the lower number; with several objectives by who dominates whom,
            then who is less crowded. Those without a standing are last.
        complete: whether nobody is still on its way here.
        next: the level to train to next: that to which the first of them went on; before, the first that none
            has passed already (one may, where a pause waits for an epoch's end).
        waiting: those that have paused here and may go on to the next level, best first.
    """

    def __init__(self, history: History, level: float, levels: Sequence[float]) -> None:
        self._history = history
        self.level = level
        self.trials = [trial for trial in history.trials if any(leg.budget == level for leg in trial.legs)]
        nothing = (math.inf,) * (1 if history.objective.scalar else len(history.objective.monitor))
        order = pareto_order([self.standing(trial) or nothing for trial in self.trials])
        self.ranked = [self.trials[index] for index in order]
        training = {trial.number for trial in history.unfinished_legs}
        here = [trial for trial in self.ranked if trial.budget == level]
        self.complete = all(trial.number not in training for trial in here)
        paused = [trial for trial in here if trial.state == "paused"]
        self.next = self._next(levels, max((trial.step for trial in paused), default=0.0))
        self.waiting = [trial for trial in paused if trial.step < self.next]

    def _next(self, levels: Sequence[float], passed: float) -> float:
        begun = [
            leg.budget for trial in self._history.trials for leg in trial.legs if leg.budget > self.level
        ]
        above = [level for level in levels if level > max(passed, self.level)]
        return min(begun, default=above[0] if above else levels[-1])

    def place(self, trial: Trial) -> str:
        """Return how a trial stands, in words: "7th of 8"."""
        return f"{ordinal(self.ranked.index(trial) + 1)} of {len(self.ranked)}"

    def standing(self, trial: Trial) -> Costs | None:
        """Return the costs of a trial's newest report up to the level.

        None if it failed on its way here, or where that report is not finite.
        """
        if trial.state == "failed" and trial.budget == self.level:
            return None
        costs = _newest_costs(self._history, trial, self.level)
        return costs if all(map(math.isfinite, costs)) else None

    def copies(self) -> int:
        """Return how many copies have been started from it."""
        return sum(
            trial.parent is not None and trial.legs[0].budget == self.next for trial in self._history.trials
        )


def _newest_costs(history: History, trial: Trial, level: float) -> Costs:
    """Return the costs of the newest report of the legs up to a level; infinite without one.

    A copy that has not reported yet stands where its parent stood when it was copied.
    """
    last = max((leg.leg for leg in trial.legs if leg.budget <= level), default=-1)
    for row in reversed(trial.rows):
        report = history.report(row)
        if report.leg <= last:
            return history.objective.costs(report.values)
    if trial.parent is None:
        return (math.inf,)
    return _newest_costs(history, history.trials[trial.parent], math.nextafter(trial.legs[0].budget, 0.0))
