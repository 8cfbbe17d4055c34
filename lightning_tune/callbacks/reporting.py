"""Report the monitors of every validation, and keep the weights of the best one. This callback comes last.

The monitor may be logged in validation, or in training for whole epochs, as late as in the module's own
`on_train_epoch_end`; where it is first measured is where it is read (`measuring.py`).
"""

import math
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import torch

from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.measuring import Source, Watch, epochs_within
from lightning_tune.callbacks.missing import no_value
from lightning_tune.callbacks.pause import stop_training


class ReportingHooks:
    """The hooks; `reporting_callback` makes a Callback of them for the user's package.

    The class attributes are what `trainer.checkpoint_callback` is asked for where there is no other saver.
    """

    best_model_path = ""
    last_model_path = ""
    best_model_score: torch.Tensor | None = None

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.best_cost: float | None = None
        self.best_step: float | None = None
        self.best_epoch: float | None = None
        self.weights: dict[str, torch.Tensor] | None = None
        self._watch = Watch(leg.objective.monitor)
        self._epochs_seen = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed fit must know: where the monitors are read, and the best weights so far."""
        return {
            "sources": self._watch.sources,
            "best_cost": self.best_cost,
            "best_step": self.best_step,
            "best_epoch": self.best_epoch,
            "weights": self.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of the fit before; of another trial's, not its best weights."""
        self._watch.sources = dict(state["sources"])
        if self.leg.inherited:
            return
        self.best_cost, self.best_step = state["best_cost"], state["best_step"]
        self.best_epoch, self.weights = state["best_epoch"], state["weights"]

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Report a metric of the validation loop."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._report(trainer, module, "validation", epochs_within(trainer))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Report a metric that is logged in training."""
        self._epochs_seen += 1
        self._report(trainer, module, "train_epoch", float(trainer.current_epoch + 1))
        self.leg.close_epoch(trainer, module)
        if self.leg.at_budget:
            self._check_monitor(trainer, needed=True)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Look for the monitor once an epoch is over."""
        if self._epochs_seen:
            self._check_monitor(trainer)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Look for the monitor once all of training is over."""
        if self.leg.ending in (None, "save"):
            self._check_monitor(trainer, needed=self.leg.ending is None)

    def _report(self, trainer: Any, module: Any, source: Source, epochs: float) -> None:
        logged = self._watch.read(trainer, source)
        if logged is None:
            return
        values = tuple(logged[name] for name in self.leg.objective.monitor)
        # before the report: a `score=` that raises fails the trial alone
        costs = self.leg.objective.costs(values)
        step = self.leg.progress.report(trainer, epochs)
        self.leg.report(step, values, logged)
        self._keep_best(module, costs, step, epochs)
        if self.leg.ending == "stop":
            stop_training(trainer)

    def _keep_best(self, module: Any, costs: Sequence[float], step: float, epochs: float) -> None:
        """Clone the weights of the epoch that is the trial's score, into memory.

        The last one that is finite where it is the last that counts, as it is with several objectives.
        """
        newest = self.leg.objective.score == "last" or not self.leg.objective.scalar
        improved = newest or self.best_cost is None or costs[0] < self.best_cost
        if not improved or not all(map(math.isfinite, costs)):
            return
        self.best_cost, self.best_step, self.best_epoch = costs[0], step, epochs
        state = module.state_dict() if self.leg.scored is None else self.leg.scored
        if self.weights is None or self.weights.keys() != state.keys():
            self.weights = {name: _copy(value) for name, value in state.items()}
            return
        for name, value in state.items():
            held = self.weights[name]
            if isinstance(held, torch.Tensor) and held.shape == value.shape and held.dtype == value.dtype:
                held.copy_(value)
            else:
                self.weights[name] = _copy(value)

    def _check_monitor(self, trainer: Any, *, needed: bool = False) -> None:
        """Raise once a whole epoch with its validation has gone by without the monitor.

        Args:
            trainer: the Trainer.
            needed: the score is needed now (at a rung, or at the end), whether there was a validation or not.

        Raises:
            MonitorError: saying why it has no value.
        """
        if not self._watch.found and (needed or self._watch.had_its_chance(trainer)):
            raise no_value(trainer, self._watch, self.leg)


def _copy(value: Any) -> Any:
    return value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else value


@cache
def _callback_class(package: ModuleType) -> type:
    """Make the class; Lightning runs a Checkpoint callback after all others and the module's own hook."""
    bases = (ReportingHooks, package.callbacks.Checkpoint)
    return type("TuneReporting", bases, {"__module__": __name__, "__doc__": ReportingHooks.__doc__})


def reporting_callback(package: ModuleType, leg: Leg) -> Any:
    """Return the reporting callback of a leg, for `lightning.pytorch` or `pytorch_lightning`.

    It must come last.
    """
    return _callback_class(package)(leg)
