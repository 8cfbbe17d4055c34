"""Loggers that know nothing of trials: one that all trials share, or one of a kind that we do not know.

A shared logger has one set of hyperparameters, so each trial's are logged under names of their own
(`trial_3/lr`); its scores make a curve over the trial numbers.
"""

from typing import Any

from lightning_tune.core.events import JSON
from lightning_tune.core.outcome import Outcome, TrialInfo
from lightning_tune.track import tensorboard_runs
from lightning_tune.track.facts import hyperparameters


def begin(logger: Any, info: TrialInfo, *, text: bool) -> None:
    """Log a trial's configuration; as `text` to TensorBoard, which keeps no hyperparameters alone."""
    if text:
        tensorboard_runs.note(logger, info, "config", hyperparameters(info))
    else:
        logger.log_hyperparams(_named(info, hyperparameters(info)))


def settle(logger: Any, info: TrialInfo, facts: dict[str, JSON], *, text: bool) -> None:
    """Log a trial's outcome to a shared logger."""
    if text:
        tensorboard_runs.note(logger, info, "outcome", facts)
    else:
        logger.log_hyperparams(_named(info, facts))
    logger.log_metrics(_numbers(facts), step=info.number)
    logger.save()


def settle_own(logger: Any, outcome: Outcome, facts: dict[str, JSON]) -> None:
    """Log the outcome to a logger that is this trial's alone."""
    logger.log_hyperparams(facts)
    logger.log_metrics(_numbers(facts), step=int(outcome.step))
    logger.save()


def _named(info: TrialInfo, facts: dict[str, JSON]) -> dict[str, JSON]:
    return {f"trial_{info.number}/{name.removeprefix('tune/')}": value for name, value in facts.items()}


def _numbers(facts: dict[str, JSON]) -> dict[str, float]:
    return {name: float(value) for name, value in facts.items() if isinstance(value, int | float)}
