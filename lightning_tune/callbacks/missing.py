"""Why a monitor has no value when it is needed, in words that help."""

import difflib
import math
from collections.abc import Sequence
from typing import Any

from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.measuring import Watch, numbers, steps_only
from lightning_tune.errors import ArgumentError, MonitorError


def never_logged(trainer: Any, watch: Watch) -> MonitorError:
    """Return the error for a monitor that had its chance: what is logged, and what may be meant.

    Of several that are missing one is explained, and the others are named.
    """
    of_steps = steps_only(trainer)
    missing = [name for name in watch.monitors if name not in watch.sources]
    name = next((name for name in missing if name in of_steps), missing[0])
    others = [repr(other) for other in missing if other != name]
    also = f" Of `monitor`, {', '.join(others)} has no value either." if others else ""
    return MonitorError(_why(trainer, name, of_steps) + also)


def no_value(trainer: Any, watch: Watch, leg: Leg) -> MonitorError:
    """Return the error for a monitor without a value in a leg of a sweep: it may only be too early for it."""
    of_steps = steps_only(trainer)
    missing = [name for name in watch.monitors if name not in watch.sources]
    if watch.had_its_chance(trainer) or any(name in of_steps for name in missing):
        return never_logged(trainer, watch)
    return MonitorError(f"`monitor={missing[0]!r}` has no value yet {_too_rare(trainer, leg)}")


def check_validations(trainer: Any, monitor: str, rungs: Sequence[float], last: float) -> None:
    """Refuse validations that come so rarely that none falls between the first rung and the last epoch.

    Args:
        trainer: the Trainer.
        monitor: the metric, which is not logged in training.
        rungs: where runs are compared, in epochs.
        last: the last epoch.

    Raises:
        ArgumentError: saying when they come.
    """
    every = trainer.check_val_every_n_epoch
    if every is None or not rungs:
        return
    first = every * math.ceil(rungs[0] / every)
    if first >= last:
        raise ArgumentError(
            f"`check_val_every_n_epoch={every}` never meets a rung: `{monitor}` is not logged in training, "
            f"and the first validation at or past epoch {rungs[0]:g} comes after epoch {first:g}, when "
            f"training is over ({last:g}): no run would ever be stopped. Validate more often."
        )


def _why(trainer: Any, name: str, of_steps: dict[str, str | None]) -> str:
    whole = sorted(numbers(trainer.callback_metrics).keys() - of_steps.keys())
    if name in of_steps:
        return f"`monitor={name!r}` {_batch_value(name, of_steps[name])}{_whole(whole)}"
    if name in whole:
        return (
            f"`monitor={name!r}` is in `trainer.callback_metrics`, but was not logged in this fit: use "
            f"`self.log({name!r}, ...)`."
        )
    near = difflib.get_close_matches(name, whole, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"`monitor={name!r}` was never logged.{_there(whole, of_steps)}{hint}"


def _batch_value(name: str, whole: str | None) -> str:
    start = "is logged on steps only, where it is the value of one batch: "
    if whole is not None:
        return f"{start}use `monitor={whole!r}`, the value of the whole epoch."
    return f"{start}log it with `self.log({name!r}, ..., on_epoch=True)`."


def _whole(names: Sequence[str]) -> str:
    return f" Logged for whole epochs are: {', '.join(names)}." if names else ""


def _there(whole: Sequence[str], of_steps: dict[str, str | None]) -> str:
    if whole:
        return f" Logged are: {', '.join(whole)}."
    if of_steps:
        steps = ", ".join(sorted(of_steps))
        return f" Logged on steps only, where they are values of one batch, are: {steps}."
    return " The module logs no metric at all: use `self.log`."


def _too_rare(trainer: Any, leg: Leg) -> str:
    """Say that validation runs too rarely for the first comparison, and what to do."""
    epochs, every = f"{leg.progress.epochs:g}", trainer.check_val_every_n_epoch
    where = f"after {epochs} {'epoch' if epochs == '1' else 'epochs'}"
    in_epochs = leg.measure.resumes and leg.measure.unit == "epochs"
    if math.isfinite(leg.budget):
        amount = leg.measure.amount(leg.budget)
        where = f"at {amount}{'' if in_epochs else f' ({where})'}, where trials are compared"
    if every in (None, 1):
        return (
            f"{where}: with `val_check_interval={trainer.val_check_interval}` no validation comes before. "
            "Validate more often."
        )
    remedy = f"Make every rung a multiple of {every} (`min_budget={every}`)" if in_epochs else "Train longer"
    return (
        f"{where}: validation runs every {every} epochs (`check_val_every_n_epoch={every}`). {remedy}, or "
        "validate every epoch."
    )
