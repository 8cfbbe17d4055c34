"""Work in which all happens that happens to real trials: early ends, failures, slow saves, checkpoints."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from typing import Literal

from lightning_tune.core.history import History
from lightning_tune.execute import Assignment, Channel, CheckpointRef, LegEnd
from lightning_tune.testing.functions import FunctionWork

TrialCurve = Callable[[int, int], float]
"""`(trial, step) -> value`; MemoryError fails the trial before it reports."""
Happens = Callable[[int, int], bool]
"""`(trial, step) -> whether it happens there`."""


class TroubledWork(FunctionWork):
    """Trials that end early, fail between report and pause, and save and resume as a Trainer does.

    Args:
        value: what a trial reports at a step.
        early: where its Trainer ends it (EarlyStopping).
        fails: where it fails after its report, before it could pause.
        slow: whether saving takes a step's time, in which other workers go on.
        kill_after: raise KeyboardInterrupt instead of the report after so many.

    Attributes:
        trained: how often each (trial, step) was trained.
    """

    def __init__(
        self,
        value: TrialCurve,
        *,
        early: Happens = lambda trial, step: False,
        fails: Happens = lambda trial, step: False,
        slow: bool = False,
        kill_after: int | None = None,
    ) -> None:
        super().__init__(lambda config, step: math.nan, kill_after)
        self.value = value
        self.early = early
        self.fails = fails
        self.slow = slow
        self.trained: Counter[tuple[int, int]] = Counter()
        self._left = itertools.count() if kill_after is None else iter(range(kill_after))

    def _train(self, task: Assignment, channel: Channel, first: int) -> Generator[int, None, LegEnd]:
        """Train from the checkpoint that was handed out, not from what was reported."""
        done = 0 if task.checkpoint is None else int(task.checkpoint.step)
        end = partial(LegEnd, trial=task.trial, leg=task.leg)
        budget = int(task.budget)
        for step in range(done + 1, budget + 1):
            yield step
            if next(self._left, None) is None:
                raise KeyboardInterrupt
            self.trained[task.trial, step] += 1
            try:
                value = self.value(task.trial, step)
            except MemoryError as error:
                return end(step=step - 1, kind="out_of_memory", reason=repr(error))
            decision = channel.report(task.trial, task.leg, float(step), (value,), {"value": value})
            if not math.isfinite(value):
                return end(step=step, kind="diverged", reason=decision.reason)
            if self.slow and step == budget:
                yield step
            if self.fails(task.trial, step):
                return end(step=step, kind="out_of_memory", reason="failed after its report")
            if decision.action == "stop":
                return end(step=step, kind="stopped", reason=decision.reason)
            if self.early(task.trial, step):
                self._save(channel, task, step, "last")
                return end(step=step, kind="completed", reason="ended early")
            if decision.action == "continue" and step < budget:
                decision = channel.poll(task.trial)
            if decision.action == "pause":
                self._save(channel, task, step, "pause")
                return end(step=step, kind="paused", reason=decision.reason)
        self._save(channel, task, budget, "last" if task.final else "pause")
        kind: Literal["completed", "paused"] = "completed" if task.final else "paused"
        return end(step=budget, kind=kind, reason=f"reached {task.budget:g}")

    def _save(self, channel: Channel, task: Assignment, step: int, kind: Literal["pause", "last"]) -> None:
        """Record a checkpoint; there is no file behind it."""
        if kind == "last" and not channel.keeps(task.trial):
            return
        path = f"trials/{task.trial}/{kind}-{task.leg}-{step}.ckpt"
        channel.saved(
            task.trial, task.leg, step, kind, CheckpointRef(path=path, step=step, size=1, sha256="x")
        )


def check_sound(history: History, keep: int = 1) -> None:
    """Raise unless a sweep that has ended left nothing open, nothing twice, and no file but its best's.

    Raises:
        AssertionError: naming what is wrong.
    """
    left = [(trial.number, trial.state) for trial in history if trial.ended is None]
    assert not left, f"left open: {left}"
    kept = {trial.number for trial in history.leaders(keep)}
    files = {trial.number for trial in history.with_checkpoints}
    assert files <= kept, f"files of {files - kept} are left"
    for trial in history:
        steps = [report.step for report in trial.reports]
        assert steps == [float(step) for step in range(1, len(steps) + 1)], (trial.number, steps)
