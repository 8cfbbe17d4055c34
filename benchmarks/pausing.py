"""What pausing costs: one pause with its resume, and a whole Hyperband sweep of a model with longer epochs.

Both are measured in turns with bare Trainers in the same process: the executor trains by hand between two
legs, and those seconds are not the sweep's.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import lightning as L
import numpy as np
from digits import trainer_arguments
from numpy.typing import NDArray
from tasks import DIGITS, IMAGES, MONITOR, Task

from lightning_tune import Scheduler, TuneLoop
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.execute import Executor, InlineExecutor
from lightning_tune.execute.base import Assignment, Channel, Coordinating, Work
from lightning_tune.execute.base import Task as Errand
from lightning_tune.schedule import Hyperband
from lightning_tune.schedule.halving import Synchronous
from lightning_tune.schedule.ranking import Rank, by_score
from lightning_tune.schedule.rungs import Bracket

Clocks: TypeAlias = NDArray[np.float64]
"""Seconds on the wall and seconds of this process's CPU, shape (2,)."""


def now() -> Clocks:
    """Return the time on both clocks."""
    return np.array([time.perf_counter(), time.process_time()])


class Stamps(L.Callback):
    """Notes, for the whole process, when a fit's first batch began and when its last epoch ended."""

    began: Clocks | None = None
    ended = np.zeros(2)
    epochs = 0

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        """Note that training has begun."""
        if Stamps.began is None:
            Stamps.began = now()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Note that an epoch is over, before ours decides what becomes of the trial."""
        Stamps.ended, Stamps.epochs = now(), Stamps.epochs + 1

    @staticmethod
    def begin() -> Clocks:
        """Await a first batch, and return the time."""
        Stamps.began = None
        return now()

    @staticmethod
    def since(moment: Clocks) -> Clocks:
        """Return the seconds from then to the first batch."""
        assert Stamps.began is not None, "no batch was trained"
        return Stamps.began - moment


@dataclass(frozen=True)
class Around(InlineExecutor):
    """The inline executor, with `around` called in the place of each leg: it is given the leg to run."""

    around: Callable[[Errand, Callable[[], None]], None]

    def run(self, coordinator: Coordinating, work: Work) -> str:
        """Run the sweep."""

        def wrapped(task: Errand, channel: Channel) -> None:
            self.around(task, lambda: work(task, channel))

        return super().run(coordinator, wrapped)


@dataclass(frozen=True)
class EveryEpoch(Synchronous):
    """Every epoch is a rung and a bracket has one trial, which pauses at each and goes on at once."""

    epochs: int
    eta: float = 2
    rank: Rank = by_score
    _budget: Budget = EPOCHS

    def resolve(self, budget: Budget) -> "EveryEpoch":
        """Return itself: nothing is left open."""
        return self

    @property
    def num_trials(self) -> int:
        """One at a time."""
        return 1

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """The one bracket."""
        return (Bracket((1,) * self.epochs, tuple(float(epoch + 1) for epoch in range(self.epochs))),)


@dataclass(frozen=True)
class Pause:
    """Seconds of one pause with its resume, and of the starts of bare Trainers just before the resume."""

    own: Clocks
    bare: Clocks
    unchecked: Clocks


def measure_pauses(folder: Path, trials: int, epochs: int) -> list[Pause]:
    """Pause every trial of a sweep at each epoch, and start bare Trainers on the same module in between.

    A pause with its resume is all there is between the end of an epoch and the first batch of the next: the
    decision, the checkpoint on the disk, the end of a Trainer, the collector, the store, the new module and
    Trainer, loading. A bare start is from building module and Trainer to the first batch, as a Trainer is by
    default and without the sanity check (which a resumed leg leaves out).
    """
    planned = DIGITS.configurations(0, trials)
    found: list[Pause] = []

    def bare(trial: int, **more: Any) -> Clocks:
        began = Stamps.begin()
        DIGITS.fit(*planned[trial], 1, folder / "bare", [Stamps()], **more)
        seconds = Stamps.since(began)
        gc.collect()
        return seconds

    def around(errand: Errand, leg: Callable[[], None]) -> None:
        paused, aside = Stamps.ended, now()
        seconds = bare(errand.trial), bare(errand.trial, num_sanity_val_steps=0)
        aside = Stamps.begin() - aside
        leg()
        if isinstance(errand, Assignment) and errand.checkpoint is not None:
            found.append(Pause(Stamps.since(paused) - aside, *seconds))

    _sweep(DIGITS, folder, EveryEpoch(epochs), trials, epochs, Around(around))
    return found


@dataclass
class Block:
    """Seconds and epochs of a stretch of a sweep, and of the bare Trainer that ran just before it."""

    bare: Clocks
    bare_epochs: int
    own: Clocks
    own_epochs: int = 0


def measure_sweep(folder: Path, epochs: int) -> list[Block]:
    """Run a Hyperband sweep of the CNN, with the full training of a bare Trainer whenever one is due.

    One is due at first, and when the sweep has trained as many epochs since the last. All of the sweep
    counts, from the call of `fit` to its return.
    """
    schedule = Hyperband(eta=3)
    trials = schedule.resolve(Budget(full=epochs)).num_trials
    planned = IMAGES.configurations(0, trials)
    blocks: list[Block] = []
    last = now()

    def account() -> None:
        """Give the newest block what the sweep has trained, and how long it took, since the last account."""
        nonlocal last
        blocks[-1].own += now() - last
        blocks[-1].own_epochs += Stamps.epochs
        last, Stamps.epochs = now(), 0

    def around(errand: Errand, leg: Callable[[], None]) -> None:
        nonlocal last
        if blocks:
            account()
        if isinstance(errand, Assignment) and (not blocks or blocks[-1].own_epochs >= epochs):
            before = now() - last
            began = now()
            IMAGES.fit(*planned[len(blocks) % trials], epochs, folder / "bare" / str(len(blocks)), [])
            blocks.append(Block(now() - began, epochs, own=before))
            gc.collect()
            last = now()
        leg()

    Stamps.epochs = 0
    _sweep(IMAGES, folder, schedule, trials, epochs, Around(around))
    account()
    return blocks


def ratio_with_interval(blocks: Sequence[Block], clock: int) -> tuple[float, float, float]:
    """Return the sweep's seconds per epoch over the bare Trainer's; 95% bootstrap interval over blocks."""
    rows = [(block.own[clock], block.own_epochs, block.bare[clock], block.bare_epochs) for block in blocks]
    table = np.array(rows)
    draws = np.random.default_rng(0).integers(len(table), size=(10_000, len(table)))
    own, own_epochs, bare, bare_epochs = np.moveaxis(table[draws].sum(axis=1), 1, 0)
    low, high = np.percentile(own / own_epochs / (bare / bare_epochs), [2.5, 97.5])
    own, own_epochs, bare, bare_epochs = table.sum(axis=0)
    return float(own / own_epochs / (bare / bare_epochs)), float(low), float(high)


def _sweep(
    task: Task, folder: Path, schedule: Scheduler, trials: int, epochs: int, executor: Executor
) -> None:
    loop = TuneLoop(
        task.space,
        monitor=MONITOR,
        search="random",
        schedule=schedule,
        max_trials=trials,
        trainer={**trainer_arguments(epochs), "callbacks": [Stamps()]},
        logger="csv",
        root_dir=folder,
        name="sweep",
        executor=executor,
    )
    loop.fit(task.module, datamodule=task.data)
