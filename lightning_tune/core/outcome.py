"""What a trial is (for those who build it or log it) and what became of it.

Plain values that travel between processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightning_tune.core.events import Config
from lightning_tune.core.trial import State


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialInfo:
    """A trial, as a logger factory sees it.

    Attributes:
        sweep: the sweep's name.
        number: the trial's number, from 0.
        group: the number shared by the repeats of one configuration.
        config: the configuration.
        seed: the seed that everything is seeded with.
        folder: the trial's own folder (`<root_dir>/<sweep>/trials/<number>`); it need not exist yet.
        leg: the number of the leg that is about to run, from 0.
        resumed: whether the trial has trained before (after a pause or a kill).
    """

    sweep: str
    number: int
    group: int
    config: Config
    seed: int
    folder: Path
    leg: int = 0
    resumed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a trial stands after a leg, for loggers and screens.

    Attributes:
        state: "paused", "completed", "stopped" or "failed" ("running" where it was interrupted).
        score: the score in the user's own direction, None without a finite report and with several
            objectives.
        scores: with several objectives, the score in each by its monitor, if there are any.
        step: the last step trained to.
        best_step: the step of the score.
        reason: why it stopped, in words.
        cause: the kind of failure in one word ("exception", "diverged", "out_of_memory"), "" otherwise.
        error: the traceback of a failed trial.
    """

    state: State
    score: float | None
    step: float
    best_step: float | None
    reason: str
    cause: str = ""
    error: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
