"""Any number of workers in virtual time: a discrete-event simulation of a sweep over a function.

The coordinator is the real one, asked and told as workers would; only the seconds are made up. Whatever
happens is ordered by (virtual time, worker), so a simulation with 500 workers can be repeated exactly.
"""

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lightning_tune.core.checks import whole
from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.events import Config
from lightning_tune.core.history import History
from lightning_tune.errors import ArgumentError
from lightning_tune.execute import Assignment, Executor, Work
from lightning_tune.execute.base import Coordinating
from lightning_tune.loop.coordinator import Coordinator
from lightning_tune.testing.functions import FunctionWork

SecondsPerStep: TypeAlias = float | Callable[[Config], float]
"""How long a step takes in virtual seconds: for every trial the same, or a function of its configuration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """When a worker trained a leg, in virtual seconds since the run began."""

    worker: int
    leg: int
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Running:
    task: Assignment
    steps: Iterator[int]
    seconds: float
    start_s: float


class SimulatedExecutor(Executor):
    """Runs a sweep over a function with so many workers, in virtual time.

    Each step of a trial takes its seconds, then it is reported and the decision obeyed. A worker that is free
    asks for the next leg at once, the lowest number first; one that has to wait asks again after each step of
    another. Stopping a paused trial takes neither time nor a worker.

    Args:
        workers: how many legs run at the same time.
        seconds_per_step: virtual seconds of a step: a number, or `config -> seconds`, asked once a leg.

    Attributes:
        elapsed_s: the virtual time since the run began; when it is over, how long it took.
        spans: of each trial, when its legs ran, oldest first; a leg is there once it has ended.

    Raises:
        ArgumentError: no workers, or steps that take no time.

    Example:
        >>> from lightning_tune import Choice
        >>> from lightning_tune.search import GridSearch
        >>> from lightning_tune.testing.functions import run_function
        >>> executor = SimulatedExecutor(workers=2, seconds_per_step=lambda config: config["x"])
        >>> space = {"x": Choice([1.0, 2.0, 3.0])}
        >>> history = run_function(
        ...     space, GridSearch(), lambda config, step: 0.0, max_trials=3, max_budget=10, executor=executor
        ... )
        >>> executor.elapsed_s, executor.busy_s, executor.busy
        (40.0, 60.0, 0.75)
    """

    def __init__(self, workers: int = 1, seconds_per_step: SecondsPerStep = 1.0) -> None:
        self.workers = whole("workers", workers, 1)
        self.seconds_per_step = seconds_per_step if callable(seconds_per_step) else _checked(seconds_per_step)
        self._reset()

    @property
    def busy_s(self) -> float:
        """Worker-seconds spent in legs that have ended."""
        return math.fsum(span.end_s - span.start_s for spans in self.spans.values() for span in spans)

    @property
    def busy(self) -> float:
        """The share of the workers' time that was spent training; 0 where no time has passed."""
        return self.busy_s / (self.workers * self.elapsed_s) if self.elapsed_s else 0.0

    def run(self, coordinator: Coordinating, work: Work) -> str:
        """Run tasks until the coordinator is done and nothing runs any more; return its reason.

        From now on the coordinator's clock is the virtual one. It begins at 0, or in a sweep that is taken up
        again when its trials last reported or ended.

        Raises:
            ArgumentError: the coordinator or the work is not of the kind whose time can be made up.
            RuntimeError: the scheduler waits although nothing is running, or a trial is handed out that is
                being trained already, or for which no worker is free.
        """
        if not isinstance(coordinator, Coordinator):
            raise ArgumentError(
                "`coordinator` of a SimulatedExecutor must be a Coordinator, whose clock can be replaced, "
                f"got a {type(coordinator).__name__}."
            )
        if not isinstance(work, FunctionWork):
            raise ArgumentError(
                "`work` of a SimulatedExecutor must be a FunctionWork, whose steps take no time of their "
                f"own, got a {type(work).__name__}."
            )
        self._reset()
        self._replace_clock(coordinator)
        answer = self._hand_out(coordinator, work)
        while self._queue:
            self.elapsed_s, worker, running = heapq.heappop(self._queue)
            self._go_on(worker, running)
            answer = self._hand_out(coordinator, work)
        if isinstance(answer, Done):
            return answer.reason
        raise RuntimeError(f"the scheduler waits ({answer.reason}), but nothing is running")

    def _reset(self) -> None:
        self.elapsed_s = 0.0
        self.spans: dict[int, list[Span]] = {}
        self._free = list(range(self.workers))
        self._queue: list[tuple[float, int, _Running]] = []
        self._training: set[int] = set()

    def _replace_clock(self, coordinator: Coordinator) -> None:
        origin = _newest_time(coordinator.history)
        coordinator.clock = coordinator.dispatcher.clock = lambda: origin + self.elapsed_s
        coordinator.__post_init__()  # it was opened now, not at a time of another clock

    def _hand_out(self, coordinator: Coordinator, work: FunctionWork) -> Wait | Done:
        """Give the free workers what there is to do; return why it was not more."""
        while self._free:
            tasks = coordinator.next_jobs(len(self._free))
            if isinstance(tasks, Wait | Done):
                return tasks
            for task in tasks:
                if isinstance(task, Assignment):
                    self._begin(task, work.steps(task, coordinator))
                else:
                    work(task, coordinator)
        return Wait(reason="every worker is busy")

    def _begin(self, task: Assignment, steps: Iterator[int]) -> None:
        if task.trial in self._training:
            raise RuntimeError(f"trial {task.trial} was handed out while it is being trained")
        if not self._free:
            raise RuntimeError(f"trial {task.trial} was handed out, but all {self.workers} workers are busy")
        self._training.add(task.trial)
        per_step = self.seconds_per_step
        seconds = _checked(per_step(task.config)) if callable(per_step) else per_step
        running = _Running(task=task, steps=steps, seconds=seconds, start_s=self.elapsed_s)
        self._go_on(heapq.heappop(self._free), running)

    def _go_on(self, worker: int, running: _Running) -> None:
        """Finish the step that is being trained and begin the next; free the worker if there is none."""
        if next(running.steps, None) is not None:
            heapq.heappush(self._queue, (self.elapsed_s + running.seconds, worker, running))
            return
        task = running.task
        span = Span(worker=worker, leg=task.leg, start_s=running.start_s, end_s=self.elapsed_s)
        self.spans.setdefault(task.trial, []).append(span)
        self._training.discard(task.trial)
        heapq.heappush(self._free, worker)


def _checked(seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ArgumentError(
            "`seconds_per_step` must be a positive finite number, or a function of a configuration that "
            f"returns one, got {seconds!r}."
        )
    return float(seconds)


def _newest_time(history: History) -> float:
    """Return when a trial last started, reported or ended, by the clock of then; 0 without any."""
    times = [trial.started if trial.ended is None else trial.ended for trial in history]
    if history.num_reports:
        times.append(history.report(history.num_reports - 1).time)
    return max(times, default=0.0)
