"""Train stopped trials of a sweep again, to the end, and see which should not have been stopped.

A stop was wrong if the trial's last value at the full budget beats the best score that the sweep had when it
stopped the trial (`stops.py` finds it), by the `min_delta` of a schedule that has one. The trials are run by
what ran them in the sweep, with another coordinator, which lets every one of them go on; nothing is appended
to the store, logged, or written into the sweep's folder.
"""

import importlib
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lightning_tune.core.budget import Budget
from lightning_tune.core.checks import whole
from lightning_tune.core.decision import CONTINUE, Decision, Done
from lightning_tune.core.events import CheckpointKind
from lightning_tune.core.history import History
from lightning_tune.core.outcome import Outcome
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Space
from lightning_tune.core.trial import State, Trial
from lightning_tune.errors import ArgumentError
from lightning_tune.execute.base import Assignment, CheckpointRef, Executor, LegEnd
from lightning_tune.loop.audit import Audit, AuditRow
from lightning_tune.loop.data import Loaders
from lightning_tune.loop.environment import Signals, undisturbed
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.limits import Limits
from lightning_tune.loop.opening import store_of
from lightning_tune.loop.packages import home_of
from lightning_tune.loop.recipe import data_recipe, model_recipe
from lightning_tune.loop.runner import TrialRunner
from lightning_tune.loop.stops import stops_of
from lightning_tune.schedule.base import Scheduler
from lightning_tune.store import Store
from lightning_tune.track.loggers import TrialLoggers
from lightning_tune.track.plaintext import number
from lightning_tune.track.screen import Mode, Screen, make_screen


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a result keeps of its sweep to train a trial again.

    Attributes:
        runner: what trained the trials.
        executor: where they ran.
        store: where the events are; None is the file in the sweep's folder.
        schedule: who stopped them, fitted to the budget.
        limits: what ended the sweep.
    """

    runner: TrialRunner
    executor: Executor
    store: Store | str | Path | None
    schedule: Scheduler
    limits: Limits

    def stops(self, name: str, folder: Path, history: History) -> list[AuditRow]:
        """Return the trials that the schedule stopped, by their numbers, read from the store.

        Raises:
            StoreError: it cannot be read, or the sweep is not there any more.
        """
        with ExitStack() as stack:
            store = store_of(self.store, folder)
            if store is not self.store:
                stack.enter_context(store)
            return stops_of(history, store.read(name), self.limits, self.schedule.full_budget)


def run_audit(
    n: int,
    model: Any,
    datamodule: Any,
    seed: int,
    *,
    name: str,
    folder: Path | None,
    space: Space,
    history: History,
    source: Source | None,
) -> Audit:
    """Draw stopped trials of a sweep and train them to the end.

    Args:
        n: how many.
        model: what builds the module.
        datamodule: what builds the data; None is the data of the sweep.
        seed: what the draw derives from.
        name: the sweep's name.
        folder: its folder; None of a sweep over a function.
        space: its space.
        history: its trials.
        source: how they were trained; None where that is not known.

    Raises:
        ArgumentError, UnknownArgumentError: an argument of the wrong form, or a sweep that cannot be audited;
            nothing was trained.
        StoreError: the sweep's record cannot be read.
    """
    whole("n", n, 1)
    whole("seed", seed, 0)
    folder, source = _checked(folder, history, source)
    runner = _runner(source.runner, space, model, datamodule, name)
    stops = source.stops(name, folder, history)
    places = generator(seed, "audit").permutation(len(stops))[:n]
    chosen = [stops[place] for place in sorted(places.tolist())]
    with ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="lightning-tune-audit-"))
        screen = _screen(stack, space, history)
        auditor = _Auditor(
            history=history,
            budget=runner.budget,
            full=source.schedule.full_budget,
            min_delta=getattr(source.schedule, "min_delta", 0.0),
            left=chosen,
            screen=screen,
        )
        if chosen:
            screen.start(f"audit of sweep {name}: {len(chosen)} of {len(stops)} stopped trials, to the end")
            stack.enter_context(undisturbed())
            stack.enter_context(Signals(auditor.interrupt).owned())
            source.executor.run(auditor, replace(runner, files=SweepFiles(Path(root))))
        audit = Audit(
            sweep=name,
            rows=tuple(auditor.rows[row.trial] for row in chosen if row.trial in auditor.rows),
            num_stops=len(stops),
            threshold=getattr(source.schedule, "threshold", None),
            reason=(auditor.interrupted or "") if len(auditor.rows) < len(chosen) else "",
            budget=runner.budget,
        )
        screen.note(audit.sentence)
    return audit


@dataclass(kw_only=True)
class _Auditor:
    """The coordinator of an audit: every trial trains to the end, and nothing of it is kept.

    Attributes:
        history: the sweep's trials.
        budget: what they spend.
        full: the whole of it.
        min_delta: by how much the target must be beaten.
        left: the stops that wait to be judged.
        screen: where progress is shown.
        rows: those that are, by trial.
        interrupted: why no more are handed out, if that is so.
    """

    history: History
    budget: Budget
    full: float
    min_delta: float
    left: Sequence[AuditRow]
    screen: Screen
    rows: dict[int, AuditRow] = field(default_factory=dict)
    interrupted: str | None = None

    def __post_init__(self) -> None:
        self._stops = {row.trial: row for row in self.left}
        self._last: dict[int, tuple[float, ...]] = {}

    def interrupt(self, reason: str) -> None:
        """End the running trial at the end of its epoch, unjudged, and hand out no more."""
        self.interrupted = reason

    def next_jobs(self, count: int) -> Sequence[Assignment] | Done:
        """Return the next trials, from the beginning to the full budget."""
        if self.interrupted is not None or not self.left:
            return Done(reason=self.interrupted or "every trial that was drawn is judged")
        rows, self.left = self.left[:count], self.left[count:]
        return [self._assignment(self.history.trials[row.trial]) for row in rows]

    def _assignment(self, trial: Trial) -> Assignment:
        return Assignment(
            trial=trial.number,
            group=trial.group,
            leg=0,
            config=dict(trial.config),
            seed=trial.seed,
            budget=self.full,
            full_budget=self.full,
        )

    def report(
        self, trial: int, leg: int, step: float, values: Sequence[float], metrics: Mapping[str, float]
    ) -> Decision:
        """Remember the values, and let the trial go on unless it diverged."""
        self._last[trial] = tuple(values)
        if all(map(math.isfinite, values)):
            return CONTINUE
        return Decision(action="stop", reason=f"diverged: {', '.join(map(str, values))}")

    def poll(self, trial: int) -> Decision:
        """Let it go on unless the audit was interrupted."""
        return CONTINUE if self.interrupted is None else Decision(action="pause", reason=self.interrupted)

    def saved(self, trial: int, leg: int, step: float, kind: CheckpointKind, file: CheckpointRef) -> None:
        """Record nothing: the file goes with the audit's folder."""

    def keeps(self, trial: int) -> bool:
        """Keep no checkpoint."""
        return False

    def finish(self, end: LegEnd) -> Outcome:
        """Judge a trial that came to its end."""
        if end.kind not in ("paused", "interrupted"):
            row = self.rows[end.trial] = self._judged(self._stops[end.trial], end)
            verdict = f"failed: {row.error}" if row.wrong is None else "wrong" if row.wrong else "right"
            self.screen.note(
                f"[{len(self.rows)}/{len(self._stops)}] trial {row.trial}, stopped at "
                f"{self.budget.amount(row.step)} | at the end {number(row.value)} | to beat "
                f"{number(row.target)} | {verdict}"
            )
        state: State = "completed" if end.kind == "completed" else "failed"
        return Outcome(state=state, score=None, step=end.step, best_step=None, reason=end.reason)

    def _judged(self, row: AuditRow, end: LegEnd) -> AuditRow:
        if end.kind != "completed":
            return replace(row, error=end.reason)
        objective = self.history.objective
        cost = objective.cost(self._last[row.trial])
        target = math.inf if row.target is None else objective.threshold(row.target)
        return replace(row, value=objective.value(cost), wrong=cost < target - self.min_delta)


def _checked(folder: Path | None, history: History, source: Source | None) -> tuple[Path, Source]:
    """Return the folder and the source of a sweep that can be audited.

    Raises:
        ArgumentError: saying why this one cannot.
    """
    if not history.objective.scalar:
        raise ArgumentError(
            f"`audit` needs one number a trial, and there are {len(history.objective.monitor)} objectives: "
            "a trial that is not best in one may be in another. Pass `score=` a callable to TuneLoop."
        )
    if folder is None:
        raise ArgumentError("`audit` trains modules again, and this sweep called a function.")
    if source is None:
        raise ArgumentError(
            "`audit` needs the Result that `TuneLoop.fit` returned, in the same process: this one (of a dry "
            "run, or copied) does not know the Trainer. Fit again with the same `name=`: a sweep that has "
            "ended trains nothing more and returns its Result."
        )
    heir = next((trial for trial in history if trial.parent is not None), None)
    if heir is not None:
        raise ArgumentError(
            f"`audit` trains trials again from nothing, and trial {heir.number} began with the weights of "
            f"trial {heir.parent}, as is the way of {type(source.schedule).__name__}: it cannot be audited."
        )
    return folder, source


def _runner(old: TrialRunner, space: Space, model: Any, datamodule: Any, name: str) -> TrialRunner:
    """Return what trains as the sweep did, with the user's model and data, and loggers that write nothing.

    Raises:
        ArgumentError, UnknownArgumentError: model or data are none that `fit` takes, do not fit the space, or
            are of the other package.
    """
    for argument, thing in (("model", model), ("datamodule", datamodule)):
        if home_of(thing) not in (None, old.package.__name__):
            raise ArgumentError(
                f"`{argument}` must be of the package that the sweep ran with, `{old.package.__name__}`, got "
                f"one of `{home_of(thing)}`."
            )
    loggers = importlib.import_module(f"{old.package.__name__}.loggers.logger")
    runner = replace(
        old,
        model=model_recipe(model, space, old.budget.argument)[0],
        loggers=TrialLoggers(
            lambda info: loggers.DummyLogger(), package=old.package, sweep=name, root=None, budget=old.budget
        ),
        checkpoint_every_s=math.inf,
    )
    if datamodule is None:
        return runner
    data = data_recipe(datamodule, space)[0]
    same = data.instance is not None and data.instance is old.data.instance  # its generators have moved since
    return replace(runner, data=data, loaders=old.loaders if same else Loaders(None, None, data.instance))


def _screen(stack: ExitStack, space: Space, history: History) -> Screen:
    """Return where progress is shown: one line a trial, or nowhere if sweeps are to show nothing."""
    mode: Mode = "none" if os.environ.get("LIGHTNING_TUNE_SCREEN") == "none" else "plain"
    screen = make_screen(mode, space=space, objective=history.objective, max_trials=None, max_epochs=None)
    stack.callback(screen.close)
    return screen
