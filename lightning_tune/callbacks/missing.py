"""Why a monitor has no value when it is needed, in words that help."""

import difflib
import math
from typing import Any

from lightning_tune.callbacks.leg import Leg


def expects_validation(trainer: Any) -> bool:
    """Return whether a Trainer validates at all."""
    return bool(trainer.enable_validation) and trainer.num_val_batches not in (0, [])


def only_on_steps(trainer: Any, name: str) -> bool:
    """Return whether a metric is logged, but never for an epoch: its value is that of some last batch."""
    loop = trainer.fit_loop.epoch_loop
    metas = [
        item.meta for results in (loop._results, loop.val_loop._results) for item in (results or {}).values()
    ]
    for_epochs = [meta.on_epoch for meta in metas if meta.name == name]
    for_epochs += [False for meta in metas if meta.forked and f"{meta.name}_step" == name]
    return bool(for_epochs) and not any(for_epochs)


def why_missing(trainer: Any, leg: Leg, *, validated: bool) -> str:
    """Return a sentence on the first monitor without a value, and what to do.

    Args:
        trainer: the Trainer.
        leg: the leg it trains.
        validated: whether validation has run.
    """
    metrics = sorted(trainer.callback_metrics)
    for name in leg.objective.monitor:
        if only_on_steps(trainer, name):
            return (
                f"`monitor={name!r}` is logged on steps only, where it is the value of one batch: log it "
                f"with `self.log({name!r}, ..., on_epoch=True)`." + _choices(trainer, metrics)
            )
    name = next((name for name in leg.objective.monitor if name not in metrics), leg.objective.monitor[0])
    if expects_validation(trainer) and not validated:
        return f"`monitor={name!r}` has no value yet {_too_rare(trainer, leg)}"
    if not metrics:
        return f"`monitor={name!r}` was never logged. The module logs no metric at all: use `self.log`."
    near = difflib.get_close_matches(name, metrics, 1)
    return f"`monitor={name!r}` was never logged. Logged are: {', '.join(metrics)}." + (
        f" Did you mean {near[0]!r}?" if near else ""
    )


def _choices(trainer: Any, metrics: list[str]) -> str:
    whole = [name for name in metrics if not only_on_steps(trainer, name)]
    return f" Logged for whole epochs are: {', '.join(whole)}." if whole else ""


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
