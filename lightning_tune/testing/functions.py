"""Sweeps over plain functions: the real coordinator and executor, with work that takes no time."""

import itertools
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Trial
from lightning_tune.execute import Assignment, Channel, Executor, InlineExecutor, LegEnd, Task
from lightning_tune.loop.coordinator import Coordinator
from lightning_tune.loop.dispatcher import Dispatcher
from lightning_tune.loop.failures import FailurePolicy
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.journal import Journal
from lightning_tune.loop.keeping import Keeper
from lightning_tune.loop.limits import Limits
from lightning_tune.loop.opening import open_sweep
from lightning_tune.schedule import FullBudget, Scheduler
from lightning_tune.search import Searcher
from lightning_tune.store import MemoryStore, Store

Curve = Callable[[Config, float], float | tuple[float, ...]]
"""`(config, step) -> value`, or a value an objective: what a trial reports at a step; it may raise."""


class FunctionWork:
    """Work whose trial reports `curve(config, step)` at every step.

    Its checkpoint is the step it has reached.
    """

    def __init__(self, curve: Curve, kill_after: int | None = None) -> None:
        self.curve = curve
        self._reports_left = itertools.count() if kill_after is None else iter(range(kill_after))

    def __call__(self, task: Task, channel: Channel) -> None:
        """Run one leg; a task that trains nothing is done at once."""
        if isinstance(task, Assignment):
            deque(self.steps(task, channel), maxlen=0)

    def steps(self, task: Assignment, channel: Channel) -> Iterator[int]:
        """Run one leg; yield each step before it is trained, so that a caller may let time pass for it."""
        history: History = channel.history  # type: ignore[attr-defined]  # it is the coordinator
        trial = history.trials[task.trial]
        done = max(trial.step, inherited_step(history, trial))
        channel.finish((yield from self._train(task, channel, first=int(done) + 1)))

    def _train(self, task: Assignment, channel: Channel, first: int) -> Generator[int, None, LegEnd]:
        step = first - 1
        end = partial(LegEnd, trial=task.trial, leg=task.leg)
        for step in range(first, int(task.budget) + 1):
            yield step
            if next(self._reports_left, None) is None:
                raise KeyboardInterrupt
            try:
                value = self.curve(task.config, step)
            except MemoryError as error:
                return end(step=step - 1, kind="out_of_memory", reason=repr(error))
            except ArithmeticError as error:
                return end(step=step - 1, kind="exception", reason=repr(error), exception=error)
            values = tuple(map(float, value)) if isinstance(value, tuple) else (float(value),)
            metrics = dict(zip(_monitors(len(values)), values, strict=True))
            decision = channel.report(task.trial, task.leg, float(step), values, metrics)
            if not all(map(math.isfinite, values)):
                return end(step=step, kind="diverged", reason=decision.reason)
            if decision.action == "continue" and step < int(task.budget):
                decision = channel.poll(task.trial)
            if decision.action == "stop":
                return end(step=step, kind="stopped", reason=decision.reason)
            if decision.action == "pause":
                return end(step=step, kind="paused", reason=decision.reason)
        kind: Literal["completed", "paused"] = "completed" if task.final else "paused"
        return end(step=task.budget, kind=kind, reason=f"reached {task.budget:g}")


def _monitors(number: int) -> list[str]:
    """Return the names of what is reported: "value", or "value_0", "value_1", ... of several."""
    return ["value"] if number == 1 else [f"value_{index}" for index in range(number)]


def inherited_step(history: History, trial: Trial) -> float:
    """Return the step at which a trial was copied from its parent, which had paused there; 0 without one."""
    if trial.parent is None:
        return 0.0
    legs = history.trials[trial.parent].legs
    return max((leg.budget for leg in legs if leg.budget < trial.legs[0].budget), default=0.0)


def make_coordinator(
    space: Space,
    search: Searcher,
    *,
    max_trials: int,
    schedule: Scheduler | None = None,
    max_budget: float = 1.0,
    mode: str | Sequence[str] = "min",
    seed: int = 0,
    repeats: int = 1,
    store: Store | None = None,
    baselines: Sequence[Config] = (),
    constraint: Callable[[Config], bool] | None = None,
    folder: Path = Path("."),
    budget: Budget | None = None,
    **rest: Any,
) -> Coordinator:
    """Return the coordinator of the sweep "test" in a store (found there, or made).

    With a list of modes there are as many objectives.
    """
    store = store or MemoryStore()
    budget = budget or Budget(full=max_budget)
    objective = Objective.of(_monitors(1 if isinstance(mode, str) else len(mode)), mode)
    sweep = open_sweep(
        name="test",
        folder=folder,
        store=store,
        spec={"seed": seed},
        space=space,
        history=History(objective, repeats, constraint, anew=not budget.resumes),
        amend=False,
        overwrite=False,
    )
    journal = Journal(name="test", store=store, history=sweep.history)
    limits = {"max_time": None, "target": None, "patience": None, "min_delta": 0.0, **rest}
    keeper = Keeper(journal=journal, files=SweepFiles(folder), keep=1)
    checked = Limits.of(max_trials=max_trials, **limits)
    resolved = (schedule or FullBudget()).resolve(budget)
    dispatcher = Dispatcher(
        journal=journal,
        keeper=keeper,
        space=space,
        search=search.resolve(max_trials),
        schedule=resolved,
        limits=checked,
        seed=seed,
        budget=budget,
        baselines=baselines,
    )
    return Coordinator(
        journal=journal,
        keeper=keeper,
        dispatcher=dispatcher,
        schedule=resolved,
        limits=checked,
        failures=FailurePolicy.of(10**6, max_trials),
    )


def run_function(
    space: Space | Mapping[str, Any],
    search: Searcher,
    curve: Curve,
    *,
    max_trials: int,
    executor: Executor | None = None,
    kill_after: int | None = None,
    **settings: Any,
) -> History:
    """Run a sweep over a function and return its history; with `kill_after`, only so many reports of it."""
    space = space if isinstance(space, Space) else Space(space)
    coordinator = make_coordinator(space, search, max_trials=max_trials, **settings)
    try:
        (executor or InlineExecutor()).run(coordinator, FunctionWork(curve, kill_after))
    except KeyboardInterrupt:
        if kill_after is None:
            raise
    return coordinator.history


def story(history: History) -> list[tuple[Config, str, list[tuple[float, tuple[float, ...]]]]]:
    """Return what a history tells, without times: each trial's configuration, state and reports."""
    return [
        (trial.config, trial.state, [(report.step, report.values) for report in trial.reports])
        for trial in history
    ]
