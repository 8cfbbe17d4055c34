"""`Sweep`: the two halves of `optimize`, `ask` and `tell`, for whatever the caller does between them.

The same settings, coordinator, store and result as `TuneLoop`'s; only what runs a trial is another.
"""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lightning_tune.core.checks import sweep_name, whole
from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.events import Config
from lightning_tune.core.outcome import Outcome
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError, StoreError
from lightning_tune.execute import Assignment, LegEnd
from lightning_tune.loop.baselines import baselines_of
from lightning_tune.loop.function_runner import Evaluation, Value, advance, checked
from lightning_tune.loop.limits import Duration
from lightning_tune.loop.opening import hold_fresh
from lightning_tune.loop.result import Result
from lightning_tune.loop.settings import Score, SweepSettings
from lightning_tune.schedule import PopulationBased, Scheduler
from lightning_tune.search import Searcher
from lightning_tune.store import Store, open_store


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What to evaluate next.

    Attributes:
        trial, leg: its numbers.
        config: the configuration.
        seed: the trial's own seed.
        step: how far it was evaluated before; 0 for a new one.
        budget: how far to evaluate it now, in steps; infinite where nothing says.
        final: whether it is complete there.
    """

    trial: int
    leg: int
    config: Config
    seed: int
    step: float
    budget: float
    final: bool


class Sweep:
    """A sweep that the caller runs: ask for a configuration, tell what came of it.

    Several may be asked for before any is told, they may be told in any order and from any thread. With a
    store and a name the sweep can be closed, or killed, and made again: it goes on, and what was asked for
    but not told is asked for again. Use as a context manager, or `close()` it.

    Args:
        space: a `Space`, or the dictionary that makes one.
        mode: this and all that follow are as in `optimize`, where they are described.

    Attributes:
        settings: the arguments, checked.
        coordinator: what decides and records.
        reason: why `ask` had nothing, in words.

    Raises:
        ArgumentError: an argument that cannot be used, named, with what it takes.
        SweepExistsError: the store holds a sweep of that name that differs in something that may not change.
        SweepBusyError: another process is running this sweep.

    Example:
        >>> from lightning_tune import Float, Sweep
        >>> with Sweep({"x": Float(-1, 1)}, search="random", max_trials=3) as sweep:
        ...     while (asked := sweep.ask()) is not None:
        ...         outcome = sweep.tell(asked, asked.config["x"] ** 2)
        >>> len(sweep.result.trials), sweep.result.best.score < 1
        (3, True)
    """

    def __init__(
        self,
        space: Space | Mapping[str, Any],
        *,
        mode: str | Sequence[str] = "min",
        search: str | Searcher = "auto",
        schedule: str | Scheduler | None = None,
        max_trials: int | None = None,
        max_time: Duration | None = None,
        target: float | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        repeats: int = 1,
        seed: int = 0,
        baseline: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
        constraint: Callable[[Config], bool] | None = None,
        score: Score = "best",
        max_budget: int | None = None,
        store: Store | str | Path | None = None,
        name: str | None = None,
        max_failures: int | None = None,
        amend: bool = False,
        overwrite: bool = False,
    ) -> None:
        full = math.inf if max_budget is None else float(whole("max_budget", max_budget, 1))
        settings = SweepSettings.of(
            space,
            monitor=_names(mode),
            mode=mode,
            score=score,
            search=search,
            schedule=schedule,
            max_trials=max_trials,
            max_time=max_time,
            target=target,
            patience=patience,
            min_delta=min_delta,
            repeats=repeats,
            seed=seed,
            constraint=constraint,
            budget="epochs",
            budget_unit="steps",
            keep_checkpoints=0,
            max_failures=max_failures,
            amend=amend,
            overwrite=overwrite,
        )
        _check_needs_no_checkpoints(settings.schedule)
        budget = replace(settings.budget, full=full)
        baselines, _ = baselines_of(baseline, {}, settings.space)
        self.settings = settings.fitted(settings.schedule.resolve(budget), budget, baselines)
        self.reason = ""
        self._lock = threading.Lock()
        self._closed = False
        self._open(store, name, baselines)

    def _open(self, store: Store | str | Path | None, name: str | None, baselines: Sequence[Config]) -> None:
        """Take hold of the sweep in its store; of nothing if that fails."""
        if name is not None:
            sweep_name("name", name)
        with ExitStack() as stack:
            opened = open_store(store)
            if opened is not store:
                stack.enter_context(opened)
            if name is None:
                name = hold_fresh(stack, opened)
            else:
                stack.enter_context(opened.hold(name))
            self._sweep = self.settings.open(name, None, opened)
            self.coordinator = self.settings.coordinator(
                self._sweep, baselines=baselines, listeners=[], provenance={}
            )
            self._held = stack.pop_all()

    @property
    def names(self) -> tuple[str, ...]:
        """What the values are called, one an objective."""
        return self.settings.objective.monitor

    @property
    def result(self) -> Result:
        """What came of it so far."""
        return self.settings.result(self._sweep.name, None, self.reason, self._sweep.history)

    def ask(self) -> Asked | None:
        """Return what to evaluate next; None where there is nothing any more, or until others are told.

        `reason` then says which.

        Raises:
            StoreError: the sweep was closed, or its store cannot be read or written.
        """
        with self._lock:
            while True:
                self._check_open()
                tasks = self.coordinator.next_jobs(1)
                if isinstance(tasks, Wait | Done):
                    self.reason = tasks.reason
                    return None
                for task in tasks:
                    if isinstance(task, Assignment) and (asked := self._asked(task)) is not None:
                        return asked

    def _asked(self, task: Assignment) -> Asked | None:
        """Return a leg as the caller sees it; None for one of which only the end was missing."""
        asked = Asked(
            trial=task.trial,
            leg=task.leg,
            config=dict(task.config),
            seed=task.seed,
            step=self._sweep.history.trials[task.trial].step,
            budget=task.budget,
            final=task.final,
        )
        if asked.step < asked.budget:
            return asked
        self._finish(asked, Evaluation(values=iter(()), pausable=False, step=asked.step))
        return None

    def tell(self, asked: Asked, value: Value | list[float] | list[tuple[float, ...]]) -> Outcome:
        """Record what a configuration scored, and return how its trial stands.

        Args:
            asked: what `ask` returned.
            value: a number (a tuple of them where there are several objectives), as it is at `asked.budget`;
                or a list of such, one for each step from `asked.step + 1` on: fewer than the budget mean that
                the evaluation ended there. NaN and infinity fail the trial.

        Raises:
            ArgumentError: it is none of these, or more than the budget has steps; or the trial is not being
                evaluated.
            StoreError: the sweep was closed, or its store cannot be written.
        """
        _check_is_asked(asked)
        told: Sequence[Value] = value if isinstance(value, list) else [value]
        if not told or asked.step + len(told) > asked.budget:
            left = asked.budget - asked.step
            most = "" if math.isinf(left) else f", of at most {left:g}"
            raise ArgumentError(
                f"`value` must be a number, or a list of them, one a step{most}, got {value!r}."
            )
        try:
            values = [checked(entry, self.names) for entry in told]
        except TypeError as error:
            raise ArgumentError(f"`value` for trial {asked.trial}: {error}.") from error
        last = asked.budget - 1 if math.isfinite(asked.budget) else 0.0  # a number is of the last step
        step = asked.step if isinstance(value, list) else last
        with self._lock:
            self._check_asked(asked)
            return self._finish(asked, Evaluation(values=iter(values), pausable=False, step=step))

    def fail(self, asked: Asked, reason: str | BaseException) -> Outcome:
        """Record that a configuration could not be evaluated, and why; return how its trial stands.

        Args:
            asked: what `ask` returned.
            reason: why, in words, or what was raised.

        Raises:
            ArgumentError: the trial is not being evaluated, or the reason is neither.
            StoreError: the sweep was closed, or its store cannot be written.
            SweepFailedError: too many have failed.
        """
        _check_is_asked(asked)
        if isinstance(reason, BaseException):
            reason = f"{type(reason).__name__}: {reason}"
        if not isinstance(reason, str):
            raise ArgumentError(f"`reason` must be a sentence, or what was raised, got {reason!r}.")
        end = LegEnd(trial=asked.trial, leg=asked.leg, step=asked.step, kind="exception", reason=reason)
        with self._lock:
            self._check_asked(asked)
            return self.coordinator.finish(end)

    def close(self) -> None:
        """Let go of the store; what was told is in it."""
        self._closed = True
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _finish(self, asked: Asked, evaluation: Evaluation) -> Outcome:
        return self.coordinator.finish(advance(evaluation, asked, self.coordinator, self.names))

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(
                "this sweep was closed: make it again with the same `store=` and `name=` to go on."
            )

    def _check_asked(self, asked: Asked) -> None:
        """Refuse what was never asked for here, and what was told already.

        Raises:
            ArgumentError: saying which.
        """
        self._check_open()
        trials = self._sweep.history.trials
        trial = trials[asked.trial] if 0 <= asked.trial < len(trials) else None
        if trial is None or trial.config != asked.config:
            raise ArgumentError(
                f"`asked` must be what `ask` of this sweep returned, got {asked!r}: its trial {asked.trial} "
                f"{'is not there' if trial is None else 'has another configuration'}."
            )
        if trial.state != "running" or trial.leg != asked.leg:
            raise ArgumentError(
                f"`asked` must be a trial that is being evaluated: trial {asked.trial} was told already, and "
                f"is {trial.state}."
            )


def _check_is_asked(asked: Any) -> None:
    if not isinstance(asked, Asked):
        raise ArgumentError(f"`asked` must be what `ask` of this sweep returned, got {asked!r}.")


def _names(mode: Any) -> str | list[str]:
    """Return what the values are called: one name an objective.

    Raises:
        ArgumentError: `mode` is neither a word nor a list.
    """
    if isinstance(mode, str):
        return "value"
    if not isinstance(mode, Sequence) or not mode:
        raise ArgumentError(
            f"`mode` must be 'min' or 'max', or a list of these, one an objective, got {mode!r}."
        )
    return [f"value_{place}" for place in range(len(mode))]


def _check_needs_no_checkpoints(schedule: Scheduler) -> None:
    """Refuse a schedule that copies what trials have learned.

    Raises:
        ArgumentError: it does.
    """
    if isinstance(schedule, PopulationBased):
        raise ArgumentError(
            "`schedule` must not be PopulationBased, which copies the checkpoints of trials, and a function "
            "has none: use 'hyperband', 'asha', 'halving' or 'median', or TuneLoop."
        )
