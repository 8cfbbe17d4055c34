"""Train stopped trials of a sweep again, to the end, and see which should not have been stopped.

A schedule with a `threshold` promises how often a trial that it stops would have beaten the best by then: a
stop was wrong if the trial's last value at the full budget beats the best score that the sweep had at the
stop (`stops.py` finds it), by the schedule's `min_delta`. One without compares trials at the same budget and
promises nothing: a stop was wrong if the trial's score would have been the best of the whole sweep.

The trials are run by what ran them in the sweep, with another coordinator, which lets every one of them go
on, and without the callbacks that stop runs; nothing is appended to the store, logged, or written into the
sweep's folder.
"""

import importlib
import math
import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_tune.core.checks import whole
from lightning_tune.core.history import History
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.execute.base import Executor
from lightning_tune.loop.audit import Audit, AuditRow
from lightning_tune.loop.auditor import Auditor
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

    @property
    def threshold(self) -> float | None:
        """The share of wrong stops that the schedule promised to stay below; None where it promised none."""
        threshold: float | None = getattr(self.schedule, "threshold", None)
        return threshold

    def stops(self, name: str, folder: Path, history: History) -> list[AuditRow]:
        """Return the trials that the schedule stopped, each with its target, read from the store.

        Raises:
            StoreError: it cannot be read, or the sweep is not there any more.
        """
        with ExitStack() as stack:
            store = store_of(self.store, folder)
            if store is not self.store:
                stack.enter_context(store)
            rows = stops_of(history, store.read(name), self.limits, self.schedule.full_budget)
        if self.threshold is not None:
            return rows
        best = history.best
        return [replace(row, target=None if best is None else best.score) for row in rows]


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
        auditor = Auditor(
            history=history,
            budget=runner.budget,
            full=source.schedule.full_budget,
            min_delta=getattr(source.schedule, "min_delta", 0.0),
            last=source.threshold is not None or history.objective.score == "last",
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
            threshold=source.threshold,
            reason=(auditor.interrupted or "") if len(auditor.rows) < len(chosen) else "",
            budget=runner.budget,
        )
        screen.note(audit.sentence)
    return audit


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
        whole=True,
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
