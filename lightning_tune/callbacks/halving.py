"""Asynchronous successive halving for Trainers of the user's own, in any number of processes.

The stopping variant of ASHA (Li et al., MLSys 2020): a run that is not among the best 1/eta of those that
had come to a rung by then ends there. All runs share a store; `shared_run.py` takes the decisions in it.
Judged at the validation, a stop takes effect when the epoch is over, so that no epoch is cut short and other
callbacks have had their turn.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tune.callbacks.both import CallbackOfBoth
from lightning_tune.callbacks.measuring import Source, Watch, epochs_within
from lightning_tune.callbacks.member import Member, ending
from lightning_tune.callbacks.missing import check_validations, never_logged
from lightning_tune.callbacks.pause import stop_training
from lightning_tune.callbacks.ranks import on_rank_zero
from lightning_tune.callbacks.shared_run import Entry
from lightning_tune.callbacks.shared_sweep import schedule_for
from lightning_tune.callbacks.shown import call_of
from lightning_tune.core.checks import sweep_name, whole
from lightning_tune.core.decision import Decision
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError, TrialPrunedError
from lightning_tune.schedule import ASHA
from lightning_tune.schedule.settings import check_eta


class SuccessiveHalvingPruner(CallbackOfBoth):
    """Stop a run that is worse than others of its sweep were at the same epoch.

    Add it to an ordinary Trainer, of `lightning` or `pytorch_lightning`, in as many independent processes as
    you like (four shells, a SLURM array): they meet in the store. A run's first comparison is after
    `min_epochs`, the next after eta times as many, and so on. It goes on if it is among the best 1/eta of
    those that had come as far by then (the first few need only be the best); it never waits for others.

    Each run is a trial of the sweep, with what its module and datamodule saved by `save_hyperparameters` as
    configuration; `lightning-tune show` lists them. A checkpoint remembers the trial: a fit that is resumed
    with `ckpt_path` goes on with it (and ends at once if it had been stopped). A run whose process was killed
    stays "running" there, and is compared with what it had reported.

    The monitor may be logged in validation, or in training with `on_epoch=True`. Under DDP rank 0 decides for
    all, by its value: log with `sync_dist=True`. The number of rungs passed is logged as `tune/rung`.

    Args:
        monitor: the metric to compare, as logged.
        mode: "min" or "max".
        sweep: the name under which runs are compared with one another: letters, digits, '.', '_' and '-'.
        store: an SQLite file (for processes of one machine) or a `postgresql://` URL (for many). None is the
            environment variable LIGHTNING_TUNE_STORE, or `sweeps/<sweep>/sweep.db` below the current folder.
        min_epochs: the first rung.
        eta: the best 1/eta go on from each rung to the next, at eta times as many epochs; at least 2.
        max_epochs: the last rung, where all is over; None is the Trainer's `max_epochs`.
        raise_on_prune: raise `TrialPrunedError` at the end of a fit that was stopped, when checkpoints are
            written, for objective functions of other libraries.
        verbose: say which trial this is, and tell of the rungs that it passes; a stop is told always.

    Attributes:
        stopped_epoch: in which it was stopped, counted from 0; 0 also if it was not (`reason` tells).
        reason: why, in words; "" if it was not.

    Raises:
        ArgumentError: an argument that cannot be used. At the start of a fit also: a `max_epochs` that the
            Trainer contradicts or leaves open, or validations that never meet a rung.
        SweepExistsError: at the start of a fit: the sweep is there with other settings.
        StoreError: the store cannot be opened, or fails while training: the run ends, it never trains on
            unrecorded.
        MonitorError: the module never logs the monitor, or only on steps.
        SweepBusyError: two processes go on with the same trial.
        TrialPrunedError: with `raise_on_prune=True`.

    Example:
        >>> pruner = SuccessiveHalvingPruner("val_acc", mode="max", sweep="digits", store="sweep.db")
        >>> trainer = L.Trainer(max_epochs=27, callbacks=[pruner])  # doctest: +SKIP
    """

    def __init__(
        self,
        monitor: str,
        mode: Literal["min", "max"] = "min",
        *,
        sweep: str,
        store: str | Path | None = None,
        min_epochs: int = 1,
        eta: float = 3,
        max_epochs: int | None = None,
        raise_on_prune: bool = False,
        verbose: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(monitor, str):
            raise ArgumentError(
                f"`monitor` must be the name of one metric, got {monitor!r}. To compare by several, log one "
                "number that you make of them, or use TuneLoop, which takes a list."
            )
        if store is not None and not isinstance(store, str | Path):
            raise ArgumentError(f"`store` must be a path or URL, or None, got {type(store).__name__}.")
        check_eta(eta)
        whole("min_epochs", min_epochs, 1)
        if max_epochs is not None:
            whole("max_epochs", max_epochs, 1)
            if min_epochs > max_epochs:
                raise ArgumentError(
                    f"`min_epochs` must be at most `max_epochs`: got {min_epochs} and {max_epochs}."
                )
        self.objective = Objective.of(monitor, mode)
        self.monitor = monitor
        self.mode = mode
        self.sweep = sweep_name("sweep", sweep)
        self.store = store
        self.min_epochs = min_epochs
        self.eta = eta
        self.max_epochs = max_epochs
        self.raise_on_prune = raise_on_prune
        self.verbose = verbose
        self._member = Member(self.sweep, store, self.objective)
        self._forget()

    def _forget(self) -> None:
        """Begin a fit with nothing known."""
        self._active = False
        self._schedule = ASHA()
        self._watch = Watch([self.monitor])
        self._last = math.inf
        self._epochs = 0.0
        self._trained = False
        self.stopped_epoch, self.reason = 0, ""

    def __repr__(self) -> str:
        return call_of(self)

    # -- what a checkpoint holds

    @property
    def state_key(self) -> str:
        """One key for each metric and sweep, so that two of these keep their states apart."""
        key: str = self._generate_state_key(monitor=self.monitor, mode=self.mode, sweep=self.sweep)
        return key

    def state_dict(self) -> dict[str, Any]:
        """Return which trial the run is."""
        return self._member.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the trial of the checkpoint."""
        self._member.load(state_dict)

    # -- the fit

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Note the Trainer's epochs before another callback (weight averaging) adds one of its own."""
        self._member.renew(trainer, stage)
        if stage == "fit":
            self._forget()
            self._last = math.inf if trainer.max_epochs in (None, -1) else float(trainer.max_epochs)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Register the run, or go on with the trial of the checkpoint."""
        if trainer.fast_dev_run:
            return
        self._schedule = schedule_for(self.min_epochs, self.eta, self.max_epochs, self._last)
        budget = max(self._schedule.full_budget, 0.0 if math.isinf(self._last) else self._last)
        entry = self._member.join(trainer, pl_module, self._schedule, budget)
        self._active = True
        self.reason = entry.stopped or ""
        self._greet(entry)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Train no further if the trial had been stopped."""
        if self.reason:
            stop_training(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report a metric of the validation loop."""
        if self._active and not trainer.sanity_checking and trainer.state.fn == "fit":
            self._report(trainer, "validation", epochs_within(trainer))

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Report a metric that the module logged at the very end of the epoch before; miss the monitor."""
        if self._active and self._trained:
            self._report(trainer, "next_epoch", self._epochs)
            self._expect_monitor(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report a metric of the training epoch, log the rung, and end training if it was decided so."""
        if not self._active:
            return
        self._trained, self._epochs = True, float(trainer.current_epoch + 1)
        self._report(trainer, "train_epoch", self._epochs)
        rung = sum(level <= self._epochs for level in self._schedule.levels)
        pl_module.log(self._logged_as(trainer), float(rung), sync_dist=trainer.world_size > 1)
        if self.reason:
            self.stopped_epoch = trainer.current_epoch
            stop_training(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Record how the run ended."""
        if not self._active:
            return
        if self._trained:
            self._report(trainer, "next_epoch", self._epochs)
            self._expect_monitor(trainer)
        self._end(trainer)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Let go of the store, and raise if that was asked for.

        Raises:
            TrialPrunedError: the run was stopped.
        """
        if not self._active:
            return
        self._end(trainer)  # of a fit that had nothing to train, where `on_train_end` is not called
        self._close()
        if self.reason and self.raise_on_prune:
            raise TrialPrunedError(self.reason)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Let go of the store."""
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Record that the run failed, or was interrupted (Ctrl-C, SIGTERM) and may go on."""
        self._active = False
        self._member.fail(self._epochs, exception)

    # -- helpers

    def _greet(self, entry: Entry) -> None:
        trial, rungs = self._member.name, _listed(self._schedule.levels)
        if self.verbose:
            self._say(f"{trial} {'goes on' if entry.resumed else 'begins'}; rungs at {rungs} epochs")
        if entry.stopped is not None:
            self._say(f"{trial} was stopped before: {entry.stopped}")
        if len(self._schedule.levels) < 2:
            rank_zero_warn(
                f"SuccessiveHalvingPruner has one rung only, at {rungs}, where training is over: no run is "
                "ever stopped. Lower `min_epochs`, or train longer."
            )

    def _report(self, trainer: Any, source: Source, epochs: float) -> None:
        """Report the monitor if this is where it is measured; every rank comes here."""
        metrics = self._watch.read(trainer, source)
        if metrics is None:
            return

        def report() -> Decision | None:
            run = self._member.run
            return None if run is None else run.report(epochs, metrics[self.monitor], metrics)

        decision = on_rank_zero(trainer, report)
        if decision is not None:
            self._take(decision)

    def _expect_monitor(self, trainer: Any) -> None:
        """Raise once a whole epoch with its validation has gone by without the monitor.

        Raises:
            MonitorError: saying why it has no value.
            ArgumentError: the validation that might bring it comes too late for any rung.
        """
        if self._watch.found:
            return
        if self._watch.had_its_chance(trainer):
            raise never_logged(trainer, self._watch)
        check_validations(trainer, self.monitor, self._schedule.levels[:-1], self._last)

    def _take(self, decision: Decision) -> None:
        """Take over a decision, and tell of it; the first stop stands."""
        stops = decision.action == "stop"
        if decision.reason and (stops or self.verbose):
            self._say(f"{self._member.name}, {decision.reason}{'; it ends with this epoch' if stops else ''}")
        if stops and not self.reason:
            self.reason = decision.reason

    def _end(self, trainer: Any) -> None:
        otherwise = ending(trainer, self._trained, self._epochs, self._last)
        self._member.end(trainer, self._epochs, self.reason or None, otherwise)

    def _close(self) -> None:
        self._active = False
        self._member.close()

    def _logged_as(self, trainer: Any) -> str:
        """Return `tune/rung`, with the sweep's name where a Trainer has several of these."""
        several = sum(isinstance(callback, SuccessiveHalvingPruner) for callback in trainer.callbacks) > 1
        return f"tune/rung/{self.sweep}" if several else "tune/rung"

    @staticmethod
    def _say(text: str) -> None:
        rank_zero_info(f"SuccessiveHalvingPruner: {text}.")


def _listed(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:g}" for level in levels)
