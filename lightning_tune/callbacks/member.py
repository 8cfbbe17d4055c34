"""A callback's run as a member of a shared sweep: joining it, going on after a restart, and how it ends.

Rank 0 alone opens the store and speaks to it; the other ranks have its answers, and its errors.
"""

import math
import traceback
from pathlib import Path
from typing import Any, TypedDict

import torch
from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tune.callbacks.hparams import config_of
from lightning_tune.callbacks.ranks import on_rank_zero
from lightning_tune.callbacks.shared_run import Entry, Judge, SharedRun
from lightning_tune.callbacks.shared_sweep import join_sweep, store_place
from lightning_tune.callbacks.stopper import early_end, early_stop
from lightning_tune.core.checks import sweep_name
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError, TuneError
from lightning_tune.store import open_store


class MemberState(TypedDict):
    """What a checkpoint remembers: which trial of which sweep the run is."""

    sweep: str
    created: float
    trial: int


class Member:
    """The trial that a callback's run is, and the store that it reports to while it trains.

    Args:
        sweep: the sweep's name.
        store: where it is; None as `store_place` has it.
        objective: what is monitored.

    Attributes:
        run: the run while it trains, on rank 0; else None.
    """

    def __init__(self, sweep: str, store: str | Path | None, objective: Objective) -> None:
        self.sweep = sweep
        self.store = store
        self.objective = objective
        self.run: SharedRun | None = None
        self._joined: MemberState | None = None
        self._loaded: MemberState | None = None

    @property
    def number(self) -> int:
        """The trial's number; -1 before there is one."""
        return -1 if self._joined is None else self._joined["trial"]

    @property
    def name(self) -> str:
        """The trial in words."""
        return f"trial {self.number} of sweep {self.sweep!r}"

    # -- what a checkpoint holds

    def state(self) -> dict[str, Any]:
        """Return which trial the run is; empty before there is one."""
        return {} if self._joined is None else dict(self._joined)

    def load(self, state: dict[str, Any]) -> None:
        """Go on with the trial of a checkpoint."""
        self._loaded = MemberState(sweep=state["sweep"], created=state["created"], trial=state["trial"])

    def renew(self, trainer: Any, stage: str) -> None:
        """Prepare for a fit, before a checkpoint is loaded."""
        self._loaded = None
        if stage == "fit" and trainer.current_epoch == 0:
            self._joined = None  # not a Trainer that goes on with what it trained before

    # -- the fit; all ranks come to `join` and `end`

    def join(self, trainer: Any, module: Any, judge: Judge, budget: float) -> Entry:
        """Register the run, which trains to `budget` epochs, or go on with the trial of the checkpoint."""
        entry = on_rank_zero(trainer, lambda: self._open(trainer, module, judge, budget))
        self._joined = MemberState(sweep=self.sweep, created=entry.created, trial=entry.trial)
        return entry

    def end(self, trainer: Any, epochs: float, stopped: str | None, otherwise: str) -> None:
        """Record how the run ended after so many epochs: why it was stopped, or else in what other way."""

        def record() -> None:
            if self.run is None:
                return
            if stopped is not None:
                self.run.end("stopped", epochs, stopped)
            else:
                self.run.end("completed", epochs, otherwise)

        on_rank_zero(trainer, record)

    def fail(self, epochs: float, exception: BaseException) -> None:
        """Record that the run failed, or was interrupted (Ctrl-C, SIGTERM) and may go on; then let go."""
        try:
            if self.run is not None:
                _record_exception(self.run, epochs, exception)
        except TuneError as error:  # the exception itself is on its way up and must not be lost
            rank_zero_warn(f"the end of trial {self.number} could not be recorded: {error}")
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the store."""
        self._loaded = None
        if self.run is not None:
            self.run.close()
            self.run = None

    # -- helpers

    def _open(self, trainer: Any, module: Any, judge: Judge, budget: float) -> Entry:
        """Open the store and begin (rank 0 alone does this)."""
        store = open_store(store_place(self.store, self.sweep))
        try:
            record = join_sweep(store, self.sweep, self.objective, judge)
            run = SharedRun(store, self.sweep, record.created, self.objective, judge)
            checkpoint = Path(str(trainer.ckpt_path)).name if trainer.ckpt_path else None
            known = self._known(trainer)
            if known is not None and known["created"] == record.created:
                entry = run.resume(known["trial"], budget, checkpoint)
            else:
                config = config_of(module, trainer.datamodule)
                entry = run.start(config, torch.initial_seed() % 2**63, budget, checkpoint)
        except BaseException:
            store.close()
            raise
        self.run = run
        return entry

    def _known(self, trainer: Any) -> MemberState | None:
        """Return the trial to go on with: the checkpoint's, or that of a Trainer that is fitted again."""
        return self._loaded or (None if trainer.ckpt_path else self._joined)


def check_meeting(store: Any, sweep: Any) -> None:
    """Refuse a store or a sweep's name that cannot be one, and a store without a sweep.

    Raises:
        ArgumentError: naming the argument.
    """
    if store is not None and not isinstance(store, str | Path):
        raise ArgumentError(f"`store` must be a path or URL, or None, got {type(store).__name__}.")
    if sweep is not None:
        sweep_name("sweep", sweep)
    elif store is not None:
        raise ArgumentError("`store` needs `sweep=`, the name under which runs meet there.")


def ending(trainer: Any, trained: bool, epochs: float, last: float) -> str:
    """Return in words how a run ended that its callback did not stop.

    Args:
        trainer: its Trainer.
        trained: whether there was anything to train in this fit.
        epochs: how many epochs are done.
        last: the Trainer's; infinite where it has no limit.
    """
    if not trained:
        return "there was nothing left to train"
    if math.isinf(last) or epochs >= last:
        return f"trained {epochs:g} epochs"
    who, why = early_stop(trainer, epochs)
    return early_end(who, f"epoch {epochs:g} of {last:g}", why)


def _record_exception(run: SharedRun, epochs: float, exception: BaseException) -> None:
    if isinstance(exception, KeyboardInterrupt | SystemExit):
        run.interrupt(epochs, f"interrupted ({type(exception).__name__})")
        return
    first = (str(exception).strip().splitlines() or ["(no message)"])[0]
    text = "".join(traceback.format_exception(exception))
    run.end("failed", epochs, f"{type(exception).__name__}: {first}", "exception", text)
