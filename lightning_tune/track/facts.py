"""What every logger is told of a trial: its hyperparameters at the start, its outcome at the end."""

import math

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.events import JSON
from lightning_tune.core.outcome import Outcome, TrialInfo
from lightning_tune.track.plaintext import unit


def hyperparameters(info: TrialInfo) -> dict[str, JSON]:
    """Return the configuration with the trial's `seed` and number (`trial`).

    Where the configuration has a key of that name itself, ours is called `tune/seed` or `tune/trial`.

    Example:
        >>> from pathlib import Path
        >>> info = TrialInfo(sweep="s", number=3, group=3, config={"lr": 0.1}, seed=7, folder=Path("3"))
        >>> hyperparameters(info)
        {'lr': 0.1, 'seed': 7, 'trial': 3}
    """
    facts: dict[str, JSON] = dict(info.config)
    for name, value in (("seed", info.seed), ("trial", info.number)):
        facts[f"tune/{name}" if name in info.config else name] = value
    return facts


def outcome_facts(outcome: Outcome, budget: Budget = EPOCHS) -> dict[str, JSON]:
    """Return an outcome as flat JSON; what a trial does not have (a score, an error) is left out.

    The score is "tune/score"; of several objectives, "tune/score/<monitor>" each.

    Args:
        outcome: how the trial stands.
        budget: what trials spend, which names the last step and that of the score: "tune/epochs",
            "tune/best_epoch".
    """
    one = unit(budget)
    spent = f"{one}s" if budget.resumes else one
    facts: dict[str, JSON] = {"tune/state": outcome.state, f"tune/{spent}": _number(outcome.step)}
    if outcome.score is not None and math.isfinite(outcome.score):
        facts["tune/score"] = outcome.score
    facts.update({f"tune/score/{monitor}": value for monitor, value in outcome.scores.items()})
    if outcome.best_step is not None:
        facts[f"tune/best_{one}"] = _number(outcome.best_step)
    for name, text in (
        ("reason", outcome.reason),
        ("cause", outcome.cause),
        ("error", last_line(outcome.error)),
    ):
        if text:
            facts[f"tune/{name}"] = text
    return facts


def leg_folder(info: TrialInfo, name: str, budget: Budget) -> str:
    """Return the folder of a trial's curves, in its own: one a leg where each leg trains anew.

    Steps begin again there, and would be drawn over those of the leg before.
    """
    return name if budget.resumes or info.leg == 0 else f"{name}-leg-{info.leg}"


def last_line(error: str) -> str:
    """Return the last line of a traceback, which names the error; "" for none."""
    lines = error.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _number(step: float) -> float | int:
    return int(step) if float(step).is_integer() else step
