"""Stop a run whose learning curve says that it will not get there.

At the end of each epoch the value at the last one is predicted from those so far (`curves/posterior.py`), as
a distribution; a run that has hardly a chance to beat its target ends there. The decisions are in
`outlook.py` and `foresight.py`; this callback brings them the values, and takes them over on every rank.
"""

import math
from pathlib import Path
from typing import Any, Literal

from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tune.callbacks.both import CallbackOfBoth
from lightning_tune.callbacks.checks import Checks
from lightning_tune.callbacks.foresight import Foresight
from lightning_tune.callbacks.measuring import Source, Watch, epochs_within
from lightning_tune.callbacks.member import Member, check_meeting, ending
from lightning_tune.callbacks.missing import never_logged
from lightning_tune.callbacks.outlook import Outlook, Rule
from lightning_tune.callbacks.pause import may_end, stop_training
from lightning_tune.callbacks.ranks import on_rank_zero
from lightning_tune.callbacks.shown import call_of
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError


class CurveExtrapolationStopping(CallbackOfBoth):
    """Stop a run that will hardly beat a target by its last epoch, as its learning curve tells.

    Add it to an ordinary Trainer, of `lightning` or `pytorch_lightning`. What is to be beaten is `target`;
    without one the best that the other runs of `sweep` have reported; without a sweep the best that the run
    itself has come to, so that it ends when it will not improve any more.

    Each epoch logs `tune/predicted_final` (the median of the value at the end), `tune/predicted_final_low`
    and `tune/predicted_final_high` (a 90% interval), and `tune/p_beats_best` (the probability that the target
    is beaten; 1 where there is none yet; 1 or 0 in the last epoch, which tells). A checkpoint remembers the
    curve: a fit that is resumed with `ckpt_path` goes on as if it had never ended, and trains no further if
    it had been stopped.

    The monitor may be logged in validation, or in training with `on_epoch=True`; of several validations in an
    epoch the last counts. One that is logged in the module's own `on_train_epoch_end` is judged an epoch
    later. Under DDP rank 0 decides for all, by its value: log with `sync_dist=True`. The Trainer's
    `min_epochs` and `min_steps` are kept. In a sweep each run is a trial, as with `SuccessiveHalvingPruner`.

    Args:
        monitor: the metric, as logged.
        mode: "min" or "max".
        max_epochs: the epoch whose value is predicted; None is the Trainer's `max_epochs`. At least that.
        target: the value to beat.
        store: an SQLite file (for processes of one machine) or a `postgresql://` URL (for many). None is the
            environment variable LIGHTNING_TUNE_STORE, or `sweeps/<sweep>/sweep.db` below the current folder.
            It needs a `sweep`.
        sweep: the name under which runs meet: letters, digits, '.', '_' and '-'.
        threshold: stop below this chance to beat the target; between 0 and 1.
        min_delta: by how much it must be beaten, in the metric's units.
        cost_aware: stop, instead, when no later epoch h is worth its cost: when the expected improvement on
            the target by h is below `min_delta * (h - now) / max_epochs`. So `min_delta`, which must be above
            0 then, is the improvement that a whole training must bring to be worth it.
        min_epochs: no stop before so many epochs have a value.
        check_every: predict, log and decide only in epochs that this divides.
        patience: stop when so many checks in a row say so.
        bounds: (low, high) that the metric cannot leave, None for no bound; (0, 1) for an accuracy.
        check_finite: stop when the metric becomes NaN or infinite; else such an epoch has no value.
        verbose: tell of every check; a stop is told always.

    Attributes:
        stopped_epoch: in which it was stopped, counted from 0; 0 also if it was not (`reason` tells).
        reason: why, in words; "" if it was not.

    Raises:
        ArgumentError: an argument that cannot be used. At the start of a fit also: a `max_epochs` below the
            Trainer's, or none in both; in mid-training, a value out of `bounds`.
        SweepExistsError: at the start of a fit: the sweep is there with other settings.
        StoreError: the store cannot be opened, or fails while training.
        MonitorError: the module never logs the monitor, or only on steps.
        SweepBusyError: two processes go on with the same trial.

    Example:
        >>> stopping = CurveExtrapolationStopping("val_acc", mode="max", target=0.97, bounds=(0, 1))
        >>> trainer = L.Trainer(max_epochs=50, callbacks=[stopping])  # doctest: +SKIP
        >>> stopping.stopped_epoch, stopping.reason
        (0, '')
    """

    def __init__(
        self,
        monitor: str,
        mode: Literal["min", "max"] = "min",
        *,
        max_epochs: int | None = None,
        target: float | None = None,
        store: str | Path | None = None,
        sweep: str | None = None,
        threshold: float = 0.05,
        min_delta: float = 0.0,
        cost_aware: bool = False,
        min_epochs: int = 4,
        check_every: int = 1,
        patience: int = 1,
        bounds: tuple[float | None, float | None] | None = None,
        check_finite: bool = True,
        verbose: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(monitor, str):
            raise ArgumentError(f"`monitor` must be the name of one metric, got {monitor!r}.")
        check_meeting(store, sweep)
        objective = Objective.of(monitor, mode)
        rule = Rule(mode=mode, threshold=threshold, min_delta=min_delta, cost_aware=cost_aware, bounds=bounds)
        self.monitor, self.mode, self.target = monitor, mode, target
        self.sweep, self.verbose = sweep, verbose
        self._checks = Checks(
            objective=objective,
            rule=rule,
            max_epochs=max_epochs,
            target=target,
            shared=sweep is not None,
            min_epochs=min_epochs,
            check_every=check_every,
            patience=patience,
            check_finite=check_finite,
        )
        self._member = None if sweep is None else Member(sweep, store, objective)
        self._last = math.inf
        self._forget()

    def _forget(self) -> None:
        """Begin a run with nothing known."""
        self.stopped_epoch = 0
        self.reason = ""
        self._active, self._trained, self._epochs = False, False, 0
        self._logged: dict[str, float] = {}
        self._watch = Watch([self.monitor])
        self._sight = Foresight(self._checks)

    def __repr__(self) -> str:
        return call_of(self, self._checks, self._checks.rule, self._member)

    @property
    def state_key(self) -> str:
        """One key for each metric, target and sweep, so that two of these keep their states apart."""
        parts = {"monitor": self.monitor, "mode": self.mode, "target": self.target, "sweep": self.sweep}
        return str(self._generate_state_key(**parts))

    def state_dict(self) -> dict[str, Any]:
        """Return the curve, how the checks went, and which trial the run is."""
        return {
            **self._sight.state(),
            "sources": dict(self._watch.sources),
            "stopped_epoch": self.stopped_epoch,
            "reason": self.reason,
            "trial": {} if self._member is None else self._member.state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the run of the checkpoint; a stop holds if it was about the same last epoch."""
        self._watch.sources = dict(state_dict["sources"])
        if self._sight.load(state_dict):
            self.stopped_epoch, self.reason = state_dict["stopped_epoch"], state_dict["reason"]
        if self._member is not None and state_dict["trial"]:
            self._member.load(state_dict["trial"])

    # -- the fit

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Note the Trainer's epochs before another callback (weight averaging) adds one of its own."""
        if stage != "fit":
            return
        before = {**self.state_dict(), "trial": {}}
        self._forget()
        if self._member is not None:
            self._member.renew(trainer, stage)
        if trainer.fast_dev_run:
            return
        self._last = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
        self._sight.end = self._checks.end_for(self._last)
        if trainer.current_epoch > 0:  # a Trainer that goes on with what it trained before
            self.load_state_dict(before)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Register the run in the sweep, or go on with the trial of the checkpoint."""
        if trainer.fast_dev_run:
            return
        if self._member is not None:
            budget = max(self._sight.end, 0.0 if math.isinf(self._last) else self._last)
            entry = self._member.join(trainer, pl_module, self._sight, budget)
            self.reason = entry.stopped or ""
            if self.verbose:
                self._say(f"it {'goes on' if entry.resumed else 'begins'}")
        self._active = True
        self._epochs = trainer.current_epoch
        if self._checks.first >= self._sight.end:
            rank_zero_warn(f"CurveExtrapolationStopping {self._checks.too_late(self._sight.end)}")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Train no further if the run had been stopped."""
        if self._active and self.reason:
            self._say(f"it was stopped before: {self.reason}")
            stop_training(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Read a metric of the validation loop."""
        if self._active and not trainer.sanity_checking and trainer.state.fn == "fit":
            self._read(trainer, "validation", math.ceil(epochs_within(trainer)))

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Read a metric that the module logged at the very end of the epoch before; miss the monitor."""
        if self._active and trainer.current_epoch > 0:
            self._read(trainer, "next_epoch", trainer.current_epoch)
            self._expect_monitor(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Read a metric of the training epoch, judge the newest value, log it, and stop if it is to be."""
        if not self._active:
            return
        self._trained, self._epochs = True, trainer.current_epoch + 1
        self._read(trainer, "train_epoch", self._epochs)
        outlook = self._judge(trainer, may_end(trainer) and self._epochs < self._last)
        if outlook is not None:
            self._log(trainer, pl_module, outlook)
        if self.reason:
            self.stopped_epoch = trainer.current_epoch
            stop_training(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Record the last value, if it came late, and how the run ended."""
        if not self._active:
            return
        if self._trained:
            self._read(trainer, "next_epoch", self._epochs)
            self._expect_monitor(trainer)
            self._judge(trainer, may_stop=False)
        self._end(trainer)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Let go of the store."""
        if self._active:
            self._end(trainer)  # of a fit that had nothing to train, where `on_train_end` is not called
            self._close()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Let go of the store."""
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Record that the run failed, or was interrupted (Ctrl-C, SIGTERM) and may go on."""
        self._active = False
        if self._member is not None:
            self._member.fail(self._epochs, exception)

    # -- helpers

    def _read(self, trainer: Any, source: Source, epoch: int) -> None:
        """Take the monitor's value as an epoch's if this is where it is measured; all ranks come here."""
        logged = self._watch.read(trainer, source)
        if logged is not None:
            self._logged = logged
            self._sight.curve[epoch] = on_rank_zero(trainer, lambda: logged[self.monitor])

    def _expect_monitor(self, trainer: Any) -> None:
        """Raise a `MonitorError` once a whole epoch with its validation has gone by without the monitor."""
        if self._trained and not self._watch.found and self._watch.had_its_chance(trainer):
            raise never_logged(trainer, self._watch)

    def _judge(self, trainer: Any, may_stop: bool) -> Outlook | None:
        """Judge the newest value once, and take over what becomes of the run; all ranks come here."""
        if not self._sight.fresh:
            return None
        run = None if self._member is None else self._member.run
        verdict = on_rank_zero(trainer, lambda: self._sight.weigh(may_stop, run, self._logged))
        self._sight.take(verdict)
        reason, stops = verdict.decision.reason, verdict.decision.action == "stop"
        if reason and (stops or self.verbose):
            self._say(f"{reason}{'; it ends with this epoch' if stops else ''}")
        if stops:
            self.reason = reason
        return verdict.outlook

    def _log(self, trainer: Any, module: Any, outlook: Outlook) -> None:
        """Log what is to be expected, under the metric's name too where a Trainer has several of these."""
        several = sum(isinstance(callback, CurveExtrapolationStopping) for callback in trainer.callbacks) > 1
        suffix = f"/{self.monitor}" if several else ""
        for name, value in outlook.metrics.items():
            module.log(f"{name}{suffix}", value, sync_dist=trainer.world_size > 1)

    def _end(self, trainer: Any) -> None:
        if self._member is not None:
            otherwise = ending(trainer, self._trained, self._epochs, self._last)
            self._member.end(trainer, self._epochs, self.reason or None, otherwise)

    def _close(self) -> None:
        self._active = False
        if self._member is not None:
            self._member.close()

    def _say(self, text: str) -> None:
        trial = "" if self._member is None else f"{self._member.name}, "
        rank_zero_info(f"CurveExtrapolationStopping: {trial}{text}.")
