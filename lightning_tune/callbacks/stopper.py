"""Callbacks that end a run before its last epoch: which they are, which one did it, and why in words."""

from typing import Any

_STOPPERS = frozenset(
    {
        ("lightning.pytorch.callbacks.early_stopping", "EarlyStopping"),
        ("pytorch_lightning.callbacks.early_stopping", "EarlyStopping"),
        ("lightning_tune.callbacks.extrapolation", "CurveExtrapolationStopping"),
        ("lightning_tune.callbacks.halving", "SuccessiveHalvingPruner"),
    }
)
"""By module and name: to ask for the classes themselves would load both packages."""
_SIGNAL = " Signaling Trainer to stop."
"""How every message of Lightning's EarlyStopping ends."""


def stops_runs(callback: Any) -> bool:
    """Whether a callback is there to end runs: EarlyStopping of either package, one of ours, or a subclass.

    Example:
        >>> stops_runs(object())
        False
    """
    return any((kind.__module__, kind.__name__) in _STOPPERS for kind in type(callback).__mro__)


def early_stop(trainer: Any, epochs: float) -> tuple[str, str]:
    """Return who ended training after so many epochs, and why: the class of a callback, and its own words.

    Known are those that say so as EarlyStopping does, by `stopped_epoch`; the words are ours (`reason`) or
    EarlyStopping's. A stop in the first epoch is known by its words: `stopped_epoch` is 0 without one, too.
    Both are empty where no callback says so, the words where it has none.
    """
    for callback in trainer.callbacks:
        why, stopped = _words(callback), getattr(callback, "stopped_epoch", -1)
        if stopped == epochs - 1 and (stopped or why):
            return type(callback).__name__, why.removeprefix(f"epoch {epochs:g}: ")
    return "", ""


def early_end(who: str, where: str, why: str) -> str:
    """Return in words how a run ended that was not stopped by its schedule.

    Example:
        >>> early_end("EarlyStopping", "epoch 3 of 9", "val_loss did not improve")
        'EarlyStopping ended it at epoch 3 of 9: val_loss did not improve'
        >>> early_end("", "epoch 3 of 9", "")
        'its Trainer ended it at epoch 3 of 9'
    """
    return f"{who or 'its Trainer'} ended it at {where}{f': {why}' if why else ''}"


def _words(callback: Any) -> str:
    """Return what a callback says of its stop, in one line."""
    for name in ("reason", "stopping_reason_message"):
        text = getattr(callback, name, None)
        if isinstance(text, str) and text:
            return " ".join(text.split()).removesuffix(_SIGNAL).removesuffix(".")
    return ""
