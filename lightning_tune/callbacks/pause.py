"""Pause a Trainer at the end of an epoch and let another go on from there, bit for bit.

Everything that touches Lightning's private names is in this file, in `random_state.py` and in `measuring.py`,
under contract tests. The recipe: this callback comes first. `should_stop` is set when the epoch is over for
everybody else (the reporting callback, the last of all, calls `close_epoch`), so that their stop is not taken
for ours. It is saved in `on_train_end`, before any other callback swaps weights there. Random states are put
back at the first `on_train_epoch_start` of the resumed fit, where the loop is told that it is not resuming,
so that the loader's iterator is made where a straight run makes it. A periodic save is a pause that resumes
at once.
"""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from lightning_tune.callbacks.inherit import OwnSettings
from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.random_state import capture, restore
from lightning_tune.callbacks.stopper import early_stop, stops_runs
from lightning_tune.errors import ArgumentError

_STATE = "lightning_tune_pause"
_LEFT_OUT = (
    "hyper_parameters",
    "hparams_name",
    "hparams_type",
    "datamodule_hyper_parameters",
    "datamodule_hparams_name",
    "datamodule_hparams_type",
)


class PauseHooks:
    """The hooks; `pause_callback` makes a Callback of them for the user's package."""

    package: ModuleType

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        leg.close_epoch = self.close_epoch
        self._restored: dict[str, Any] | None = None
        self._others_stopped = False
        self._own: OwnSettings | None = None
        self._lender: list[dict[str, Any]] = []
        self._optimizer_states: list[dict[str, Any]] = []

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """Remember the number of epochs before a callback (weight averaging) adds one of its own.

        The module's callbacks are among the Trainer's by now: those that stop runs are left out here.
        """
        self.leg.progress.max_epochs = trainer.max_epochs
        if self.leg.whole:
            trainer.callbacks = [entry for entry in trainer.callbacks if not stops_runs(entry)]

    def on_load_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the random states for the first epoch's start, and go on counting.

        A Trainer with fewer epochs than are trained already has nothing to do; Lightning would refuse it.
        """
        self._restored = checkpoint.get(_STATE)
        if self._restored is not None:
            self.leg.progress.load(self._restored["progress"])
            self._lender = self._restored["optimizers"]
            self._optimizer_states = checkpoint["optimizer_states"]
        if trainer.max_epochs is not None and trainer.max_epochs >= 0:
            trainer.fit_loop.max_epochs = max(trainer.max_epochs, checkpoint["epoch"])

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        """Note the settings of the optimizers, which are built and not restored yet."""
        self._own = OwnSettings(trainer)
        if self.leg.inherited:
            self._own.drop_foreign(self._optimizer_states, self._lender)
        self._optimizer_states = []

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Start the clock; in a trial that starts from another's checkpoint, put its own settings in."""
        if self.leg.inherited and self._own is not None:
            self._own.lay_over(trainer, self._lender)
        self.leg.progress.begin()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count the samples, where they are what is counted."""
        if self.leg.measure.unit == "samples":
            self.leg.progress.samples += self._size(batch)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Put back what a straight run would have at this point."""
        if self._restored is None:
            return
        restore(trainer, module, self._restored)
        trainer.should_stop = self._restored["should_stop"]
        trainer.fit_loop._resuming_from_checkpoint = False
        self._restored = None

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        """Keep averaged weights, which a WeightAveraging callback is about to take out of the module."""
        averaging = getattr(self.package.callbacks, "WeightAveraging", ())
        if not trainer.sanity_checking and any(isinstance(entry, averaging) for entry in trainer.callbacks):
            self.leg.scored = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def close_epoch(self, trainer: Any, module: Any) -> None:
        """Decide whether this fit ends here; called when all other callbacks have had their say."""
        if self.leg.ending == "stop":
            return
        epochs = trainer.current_epoch + 1
        self.leg.step = max(self.leg.step, self.leg.progress.step(trainer, float(epochs)))
        self._others_stopped = trainer.should_stop and epochs >= (trainer.min_epochs or 0)
        if self._others_stopped or self.leg.progress.is_last(epochs):
            return
        self.leg.poll()
        if self.leg.step >= self.leg.budget:
            whole = self.leg.step >= self.leg.full_budget
            reached = self.leg.measure.amount(self.leg.full_budget if whole else self.leg.budget)
            self.leg.end("complete" if whole or self.leg.final else "pause", f"reached {reached}")
        elif (
            self.leg.ending is None
            and self.leg.save_due()
            and self.leg.accepts(lambda: self._state(trainer, module))
        ):
            self.leg.end("save", "")
        elif self._cannot_wait(trainer, module):
            self.leg.end("pause", "it cannot be saved")
        if self.leg.ending is not None:
            stop_training(trainer)

    def _cannot_wait(self, trainer: Any, module: Any) -> bool:
        """Whether the trial is to pause at the end of this leg, and cannot; it need not train so far."""
        pauses = self.leg.measure.resumes and not self.leg.final
        return pauses and not self.leg.accepts(lambda: self._state(trainer, module))

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Write the checkpoint that the trial trains on from."""
        leg = self.leg
        leg.ended_by, leg.ended_why = early_stop(trainer, trainer.current_epoch)
        if leg.ending in ("pause", "save") and self._ended_otherwise(trainer):
            leg.ending, leg.reason = None, ""
        if leg.ending in ("pause", "save"):
            leg.save("pause", self._state(trainer, module))
        elif self._may_train_on() and not leg.diverged and leg.keeps():
            leg.save("last", self._state(trainer, module))

    def _may_train_on(self) -> bool:
        """Whether this fit ended as trials do that a larger budget, given later, could train on."""
        return self.leg.ending in (None, "complete") and self.leg.measure.resumes

    def _ended_otherwise(self, trainer: Any) -> bool:
        """Whether training would have ended here anyway: its last epoch, or somebody else's early stop."""
        return self._others_stopped or self.leg.progress.is_last(trainer.current_epoch)

    def _size(self, batch: Any) -> int:
        """Return how many samples a batch holds, as Lightning tells it.

        Raises:
            ArgumentError: it cannot be told.
        """
        data = import_module(f"{self.package.__name__}.utilities.data")
        try:
            return int(data.extract_batch_size(batch))
        except (RecursionError, self.package.utilities.exceptions.MisconfigurationException) as error:
            raise ArgumentError(
                f"`budget_unit='samples'` needs batches that hold tensors, whose first dimension is counted; "
                f"got {type(batch).__name__}. Use budget_unit='steps'."
            ) from error

    def _state(self, trainer: Any, module: Any) -> dict[str, Any]:
        """Return Lightning's own checkpoint with the states that it lacks, and without hyperparameters."""
        state: dict[str, Any] = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        for key in _LEFT_OUT:
            state.pop(key, None)
        state[_STATE] = {
            **capture(trainer, module),
            "progress": self.leg.progress.state(),
            "optimizers": [] if self._own is None else self._own.record,
        }
        return state


def may_end(trainer: Any) -> bool:
    """Whether the Trainer's `min_epochs` and `min_steps` let training end with this epoch."""
    steps = trainer.min_steps is None or trainer.global_step >= trainer.min_steps
    return bool(steps and trainer.current_epoch + 1 >= (trainer.min_epochs or 0))


def stop_training(trainer: Any) -> None:
    """End training at the end of this epoch, whatever the Trainer's `min_epochs` and `min_steps` say."""
    trainer.should_stop = True
    trainer.fit_loop.min_epochs = 0
    trainer.fit_loop.epoch_loop.min_steps = None


@cache
def _callback_class(package: ModuleType) -> type:
    names = {"__module__": __name__, "__doc__": PauseHooks.__doc__, "package": package}
    return type("TunePause", (PauseHooks, package.Callback), names)


def pause_callback(package: ModuleType, leg: Leg) -> Any:
    """Return the pausing callback of a leg, for `lightning.pytorch` or `pytorch_lightning`.

    It must come first.
    """
    return _callback_class(package)(leg)
