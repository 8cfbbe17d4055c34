"""What a screen knows of a sweep: each event brings it up to date, in a sweep of any size."""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.events import (
    CheckpointDeleted,
    CheckpointSaved,
    Config,
    Event,
    LegStarted,
    Reported,
    TrialEnded,
    TrialPaused,
)
from lightning_tune.core.history import History
from lightning_tune.core.trial import Trial
from lightning_tune.track.timeleft import time_left

_LEADERS = 5
_RECENT = 12
_DURATIONS = 50


class Describes(Protocol):
    """A search space, as far as a screen needs it."""

    def describe(self, config: Config, /) -> str:
        """Return a configuration as short text."""
        ...


class Tally:
    """Counts, and the trials worth showing.

    A screen may come late (a sweep that is resumed): what the history holds by then is counted at the first
    event. A trial that it shows as running is none of ours until a leg of this session begins.

    Attributes:
        running: the trials that train now, by number.
        recent: the trials that ended or paused, newest last.
        leaders: the best trials, best first; with several objectives, as they were when a trial last paused
            or ended.
        front: with several objectives the trials that no other dominates, from the best in the first on.
        ended: how many configurations have ended.
        spent: how much has been trained, in the budget's unit; where each leg trains anew, in trainings (of
            data, in trainings on all of it).
    """

    def __init__(
        self,
        max_trials: int | None,
        repeats: int = 1,
        clock: Callable[[], float] = time.time,
        budget: Budget = EPOCHS,
    ) -> None:
        self.max_trials = max_trials
        self.running: dict[int, Trial] = {}
        self.recent: deque[Trial] = deque(maxlen=_RECENT)
        self.leaders: list[Trial] = []
        self.front: list[Trial] = []
        self._compromise: Trial | None = None
        self.ended = 0
        self.spent = 0.0
        self._clock = clock
        self._budget = budget
        self._seq = -1
        self._repeats = repeats
        self._steps: dict[tuple[int, int], float] = {}
        self._files: dict[str, int] = {}
        self._bytes = 0
        self._began: dict[int, float] = {}
        self._active: dict[int, float] = {}
        self._durations: deque[float] = deque(maxlen=_DURATIONS)
        self._workers = 1

    # -- reading --------------------------------------------------------------------------------------------

    @property
    def best(self) -> Trial | None:
        """The best trial so far; with several objectives, the best compromise."""
        return self._compromise or (self.leaders[0] if self.leaders else None)

    @property
    def checkpoint_bytes(self) -> int:
        """The size of all checkpoint files."""
        return self._bytes

    def time_left(self) -> tuple[float, float] | None:
        """Return the range of seconds that are left; None without `max_trials` or an ended trial."""
        if self.max_trials is None:
            return None
        now = self._clock()
        elapsed = [now - began + self._active.get(trial, 0.0) for trial, began in list(self._began.items())]
        remaining = (self.max_trials - self.ended) * self._repeats
        return time_left(list(self._durations), remaining, elapsed, self._workers)

    def rows(self, limit: int) -> list[Trial]:
        """Return the trials to show, by number: running ones, the best, and the last that ended."""
        running = list(self.running.values())[-max(1, limit - 2) :]
        chosen = {trial.number: trial for trial in running}
        for trial in [*self.leaders[:2], *reversed(list(self.recent)), *self.leaders[2:]]:
            if len(chosen) >= limit:
                break
            chosen.setdefault(trial.number, trial)
        return [chosen[number] for number in sorted(chosen)]

    # -- following ------------------------------------------------------------------------------------------

    def update(self, event: Event, history: History) -> None:
        """Take in one event; the history holds it already (and may be ahead of it)."""
        if self._seq < 0:
            self._count(history)
        new = event.seq > self._seq
        match event:
            case Reported():
                if new:
                    self._advance(history.trials[event.trial], event.leg, event.step)
                if history.objective.scalar:
                    self._rank(history.trials[event.trial], history)
            case LegStarted():
                self.running[event.trial] = history.trials[event.trial]
                self._began[event.trial] = event.time
                self._workers = max(self._workers, len(self.running))
            case TrialPaused() | TrialEnded():
                self._stopped(event, history)
            case CheckpointSaved() if new:
                self._bytes += event.size - self._files.get(event.path, 0)
                self._files[event.path] = event.size
            case CheckpointDeleted() if new:
                self._bytes -= self._files.pop(event.path, 0)

    def _count(self, history: History) -> None:
        """Take in all that a history holds."""
        self._seq = history.seq
        self._repeats = history.repeats
        for trial in history.trials:
            if self._budget.resumes:
                self._advance(trial, trial.leg, trial.step)
            else:
                for report in trial.reports:
                    self._advance(trial, report.leg, report.step)
        self.ended = history.num_groups - len(history.open_groups)
        self._lead(history)
        self.recent.extend(
            trial for trial in history.trials[-_RECENT:] if trial.state not in ("waiting", "running")
        )
        for trial in history.with_checkpoints:
            self._files.update({saved.path: saved.size for saved in trial.checkpoints.values()})
        self._bytes = sum(self._files.values())

    def _advance(self, trial: Trial, leg: int, step: float) -> None:
        """Count what a trial has trained since it was last heard of; legs that go on are one stretch."""
        stretch = (trial.number, 0 if self._budget.resumes else leg)
        whole = 1.0 if self._budget.argument is None else trial.legs[leg].budget
        before = self._steps.get(stretch, 0.0)
        if step > before:
            self._steps[stretch] = step
            self.spent += (step - before) / whole

    def _stopped(self, event: TrialPaused | TrialEnded, history: History) -> None:
        trial = history.trials[event.trial]
        self.running.pop(event.trial, None)
        began = self._began.pop(event.trial, None)
        if began is not None:
            self._active[event.trial] = self._active.get(event.trial, 0.0) + max(0.0, event.time - began)
        if trial in self.recent:
            self.recent.remove(trial)
        self.recent.append(trial)
        if isinstance(event, TrialEnded):
            if event.trial in self._active:
                self._durations.append(self._active.pop(event.trial))
            self.ended = history.num_groups - len(history.open_groups)
        if isinstance(event, TrialEnded) or not history.objective.scalar:
            self._rank(trial, history)

    def _rank(self, trial: Trial, history: History) -> None:
        """Keep the leaders.

        Only a leader that failed, repeats, legs that train anew, and several objectives need the history's
        own ranking.
        """
        several = history.repeats > 1 or history.anew or not history.objective.scalar
        if several or (trial in self.leaders and not math.isfinite(trial.cost)):
            self._lead(history)
        elif math.isfinite(trial.cost):
            others = [leader for leader in self.leaders if leader is not trial]
            self.leaders = sorted([*others, trial], key=lambda each: (each.cost, each.number))[:_LEADERS]

    def _lead(self, history: History) -> None:
        """Take over the history's own ranking."""
        self.leaders = history.leaders(_LEADERS)
        if not history.objective.scalar:
            self.front = [group.best_member for group in history.front]
            self._compromise = history.best
