"""What goes into a trial's checkpoint files, and how it comes out again.

Plain tensors, `weights_only=True`, always.
"""

import io
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import torch

from lightning_tune.core.events import CheckpointKind
from lightning_tune.errors import CheckpointError
from lightning_tune.execute.base import Channel, CheckpointRef
from lightning_tune.loop.files import SweepFiles

_REPORTING = "TuneReporting"
_REFUSED = ("_instantiator", "_class_path")


@dataclass(kw_only=True)
class Saver:
    """Writes the checkpoints of one trial and records them.

    Attributes:
        files: the sweep's folder.
        trial, leg: the trial's number and the leg's.
        channel: the coordinator.
        problem: why the trial's state cannot be saved, if it cannot; found out at the first save.
        known_to_load: whether a state of the trial is known to load again.
    """

    files: SweepFiles
    trial: int
    leg: int
    channel: Channel
    problem: str | None = None
    known_to_load: bool = False

    @property
    def works(self) -> bool:
        """Whether the trial's state can be saved, as far as one knows."""
        return self.problem is None

    def accepts(self, make_state: Callable[[], dict[str, Any]]) -> bool:
        """Return whether the trial's state can be saved and loaded again.

        The first one that cannot costs one warning.
        """
        if not self.known_to_load and self.problem is None:
            self.problem = unloadable(make_state())
            self.known_to_load = self.problem is None
            if self.problem is not None:
                self.warn(
                    f"trial {self.trial} cannot be saved: {self.problem}. It trains on, but after a kill it "
                    "starts again from nothing. Checkpoints hold tensors and plain Python values only."
                )
        return self.works

    def write(self, kind: CheckpointKind, step: float, state: dict[str, Any]) -> CheckpointRef | None:
        """Write a checkpoint and record it; None where the state cannot be loaded again.

        The state holds live tensors: they are on the disk when this returns.
        """
        if kind != "best" and not self.accepts(lambda: state):
            return None
        name = f"trials/{self.trial}/{kind}-{self.leg}-{step:g}.ckpt"
        ref = self.files.write(name, step, lambda file: torch.save(state, file))
        self.channel.saved(self.trial, self.leg, step, kind, ref)
        return ref

    @staticmethod
    def warn(message: str) -> None:
        """Warn the user."""
        warnings.warn(message, stacklevel=2)


def unloadable(state: dict[str, Any]) -> str | None:
    """Return why a state would not load with `weights_only=True`, naming the key, or None."""
    if _loads(state):
        return None
    for key, value in state.items():
        if _loads({key: value}):
            continue
        inner = (
            [name for name, item in value.items() if not _loads({name: item})]
            if isinstance(value, dict)
            else []
        )
        where = f"{key!r}" + (f", in {inner[0]!r}" if inner else "")
        return f"its state under {where} holds objects that `weights_only=True` does not load"
    return "its state holds objects that `weights_only=True` does not load"


def _loads(state: dict[str, Any]) -> bool:
    buffer = io.BytesIO()
    try:
        torch.save(state, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except (pickle.UnpicklingError, pickle.PicklingError, AttributeError, TypeError, RuntimeError):
        return False
    return True


def best_weights(reporting: Any, package: ModuleType) -> dict[str, Any]:
    """Return the checkpoint of a trial's best epoch; `load_from_checkpoint` reads it, given arguments."""
    return {
        "state_dict": reporting.weights,
        "epoch": int(reporting.best_epoch),
        "global_step": 0,
        "pytorch-lightning_version": package.__version__,
    }


def read_checkpoint(path: Path | BinaryIO) -> dict[str, Any]:
    """Load a checkpoint of ours: nothing in it is ever run.

    Raises:
        CheckpointError: it is missing, damaged, not loadable with `weights_only=True`, or has keys that name
        classes.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be loaded: {error}") from error
    refused = [key for key in _REFUSED if isinstance(state, dict) and key in state]
    if not isinstance(state, dict) or refused:
        raise CheckpointError(f"checkpoint {path} is not one of ours ({refused or type(state).__name__}).")
    return state


def weights_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return the weights of the best epoch that a checkpoint holds: of a paused trial, of the best so far."""
    for key, value in state.get("callbacks", {}).items():
        if key.startswith(_REPORTING) and value.get("weights") is not None:
            weights: dict[str, Any] = value["weights"]
            return weights
    return state["state_dict"]  # type: ignore[no-any-return]  # a state_dict
