"""How a leg ended, in words: by its Trainer, or by an error, whose kinds are told apart."""

import math
import traceback
from dataclasses import replace

import torch

from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.stopper import early_end
from lightning_tune.errors import MonitorError
from lightning_tune.execute.base import Assignment, LegEnd
from lightning_tune.track.frames import user_frame


def ended_by_trainer(leg: Leg, end: LegEnd) -> LegEnd:
    """Say how a leg ended that trained to the Trainer's last epoch, or was stopped by another callback.

    Where each leg trains anew it is over then, and the trial waits for a larger budget, if there is one.
    """
    measure, early = leg.measure, not leg.progress.is_last(leg.progress.epochs)
    if not measure.resumes:
        over = replace(end, step=leg.budget, reason=_over(leg), early=early)
        return over if leg.final else replace(over, kind="paused")
    if not leg.step < leg.budget < math.inf:
        return end
    where = f"{measure.figure(leg.step)} of {measure.amount(leg.budget)}"
    if measure.unit == "epochs":
        where = f"epoch {leg.step:g} of {leg.budget:g}"
    return replace(end, reason=early_end(leg.ended_by, where, leg.ended_why), early=early)


def end_of_error(error: BaseException, task: Assignment, leg: Leg) -> LegEnd:
    """Return the end of a leg whose training raised, with where and why."""
    text = "".join(traceback.format_exception(error))
    where = user_frame(text)
    end = LegEnd(
        trial=task.trial,
        leg=task.leg,
        step=leg.step,
        kind="exception",
        reason=f"{type(error).__name__}: {_first_line(error)}" + (f" ({where})" if where else ""),
        error=text,
        exception=error,
    )
    if isinstance(error, MonitorError):
        return replace(end, kind="unmonitored", reason=str(error))
    if out_of_memory(error):
        return replace(end, kind="out_of_memory", reason=f"out of memory: {_first_line(error)}")
    if task.inherited and not leg.progress.began and isinstance(error, RuntimeError | ValueError | KeyError):
        return replace(end, reason=_misfit(error))
    return end


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory has run out, the machine's or a GPU's."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def _over(leg: Leg) -> str:
    """Say that a leg that trains anew is over, and by whom if that was before the last epoch."""
    measure, progress = leg.measure, leg.progress
    if progress.max_epochs is None or progress.epochs >= progress.max_epochs:
        return f"reached {measure.amount(leg.budget)}"
    where = f"epoch {progress.epochs:g} of {progress.max_epochs}, with {measure.amount(leg.budget)}"
    return early_end(leg.ended_by, where, leg.ended_why)


def _misfit(error: BaseException) -> str:
    why = " ".join(str(error).split())[:300]
    return (
        "the checkpoint of another trial, from which it starts, does not fit its module or optimizer "
        f"({why}). Trials that inherit from one another must agree in every key of the space that changes "
        "the shapes of weights: make it a constant."
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["(no message)"])[0]
