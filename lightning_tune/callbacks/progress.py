"""How far a leg's training has come, in the unit of its budget.

Where training goes on from rung to rung, a step counts epochs, optimizer steps, samples or seconds of the
whole trial; where each rung trains anew (more data, a larger model) it is the leg's budget times the part of
the Trainer's epochs that is done, so that a level is reached when its leg is over.
"""

import math
import time
from collections.abc import Callable
from typing import Any

from lightning_tune.core.budget import Budget


class Progress:
    """Counts one leg; what it counted travels in the checkpoint of a pause.

    Args:
        measure: what the budget is, and how it is counted.
        budget: the step to train to.
        clock: seconds; replaced in tests.

    Attributes:
        max_epochs: the Trainer's; None before it is known.
        epochs: how many epochs are done, with a fraction in the middle of one.
        began: whether training has begun in this fit.
        samples: how many training samples the trial has seen.

    Example:
        >>> progress = Progress(Budget(grows="data"), 0.5)
        >>> progress.max_epochs = 10
        >>> progress.step(None, 2.0), progress.step(None, 10.0)
        (0.1, 0.5)
    """

    def __init__(self, measure: Budget, budget: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.measure = measure
        self.budget = budget
        self.max_epochs: int | None = None
        self.epochs = 0.0
        self.samples = 0
        self._clock = clock
        self._seconds = 0.0
        self._began: float | None = None
        self._reported = -1.0

    @property
    def began(self) -> bool:
        """Whether training has begun in this fit."""
        return self._began is not None

    @property
    def seconds(self) -> float:
        """Seconds of training (with its validations) in the trial so far; pauses are none."""
        return self._seconds + (0.0 if self._began is None else self._clock() - self._began)

    def begin(self) -> None:
        """Start the clock."""
        self._began = self._clock()

    def step(self, trainer: Any, epochs: float) -> float:
        """Return the step at which a Trainer stands that has done so many epochs."""
        self.epochs = max(self.epochs, epochs)
        if not self.measure.resumes:
            return self.budget if self.is_last(epochs) else self.budget * epochs / (self.max_epochs or 1)
        match self.measure.unit:
            case "epochs":
                return epochs
            case "steps":
                return float(trainer.global_step)
            case "samples":
                return float(self.samples)
            case "seconds":
                return self.seconds

    def report(self, trainer: Any, epochs: float) -> float:
        """Return the step of a report; each is above the one before.

        Two validations without an optimizer step between them differ in the last bit: a step that was known
        already would be taken for the same report again.
        """
        step = self.step(trainer, epochs)
        self._reported = step if step > self._reported else math.nextafter(self._reported, math.inf)
        return self._reported

    def is_last(self, epochs: float) -> bool:
        """Whether the Trainer trains no further than so many epochs."""
        return self.max_epochs is not None and 0 <= self.max_epochs <= epochs

    def state(self) -> dict[str, Any]:
        """Return what the next fit goes on from, as plain numbers.

        Seconds only where they are counted: a checkpoint is otherwise the same to the last bit each time.
        """
        seconds = self.seconds if self.measure.unit == "seconds" else 0.0
        return {"samples": self.samples, "seconds": seconds, "reported": self._reported}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from the fit before."""
        self.samples, self._seconds, self._reported = state["samples"], state["seconds"], state["reported"]
