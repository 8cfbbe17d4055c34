"""Tells a sweep to a screen as a coordinator does: the history holds each event before it is told."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from lightning_tune.core.events import (
    CheckpointDeleted,
    CheckpointSaved,
    Event,
    LegStarted,
    Reported,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective

OBJECTIVE = Objective.of("val_acc", "max")
SEVERAL = Objective.of(["val_loss", "size"])
ERROR = (
    "Traceback (most recent call last):\n"
    '  File "/usr/lib/python3/site-packages/lightning/trainer.py", line 500, in fit\n'
    '  File "/home/me/model.py", line 71, in forward\n'
    '  File "/usr/lib/python3/site-packages/torch/nn.py", line 7, in linear\n'
    "ValueError: too wide\n"
)


class Space:
    def describe(self, config: dict[str, Any]) -> str:
        return " ".join(f"{name}={value}" for name, value in config.items())


class Story:
    def __init__(
        self,
        listener: Callable[[Event, History], None],
        repeats: int = 1,
        objective: Objective = OBJECTIVE,
    ) -> None:
        self.history = History(objective, repeats)
        self.listener = listener
        self.time = 1000.0
        self.legs: dict[int, int] = {}

    def tell(self, *events: Event) -> None:
        """Fold a batch of events, then tell them one by one: the history is ahead of all but the last."""
        told = []
        for event in events:
            seq = self.history.seq + 1
            event = (
                event._replace(seq=seq)
                if isinstance(event, Reported)
                else dataclasses.replace(event, seq=seq)
            )
            self.history.extend([event])
            told.append(event)
        for event in told:
            self.listener(event, self.history)

    def begin(
        self, trial: int, config: dict[str, Any] | None = None, budget: float = 4.0, group: int | None = None
    ) -> None:
        if trial >= len(self.history):
            start = TrialStarted(
                trial=trial,
                group=trial if group is None else group,
                config=config or {"lr": (trial + 1) / 10},
                seed=0,
                space_version=1,
                origin="search",
                time=self.time,
            )
            self.tell(start)
        self.legs[trial] = self.legs.get(trial, -1) + 1
        self.tell(LegStarted(trial=trial, leg=self.legs[trial], budget=budget, time=self.time))

    def report(self, trial: int, values: Sequence[float | tuple[float, ...]], first: int = 1) -> None:
        for step, value in enumerate(values, first):
            self.time += 1
            told = value if isinstance(value, tuple) else (value,)
            self.tell(
                Reported(trial=trial, leg=self.legs[trial], step=float(step), values=told, time=self.time)
            )

    def end(self, trial: int, state: Any = "completed", reason: str = "trained", error: str = "") -> None:
        step = self.history.trials[trial].step
        leg = self.legs[trial]
        self.tell(
            TrialEnded(
                trial=trial, leg=leg, step=step, state=state, reason=reason, error=error, time=self.time
            )
        )

    def pause(self, trial: int, reason: str = "rung 0") -> None:
        step = self.history.trials[trial].step
        self.tell(TrialPaused(trial=trial, leg=self.legs[trial], step=step, reason=reason, time=self.time))

    def save(self, trial: int, size: int, path: str) -> None:
        self.tell(
            CheckpointSaved(
                trial=trial, leg=0, step=1.0, kind="pause", path=path, size=size, sha256="", time=self.time
            )
        )

    def delete(self, trial: int, path: str) -> None:
        self.tell(CheckpointDeleted(trial=trial, path=path, time=self.time))

    def run(self, trial: int, values: Sequence[float | tuple[float, ...]], **ending: Any) -> None:
        """Tell a whole trial, a second an epoch."""
        self.begin(trial)
        self.report(trial, values)
        self.end(trial, **ending)
