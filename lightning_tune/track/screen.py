"""The terminal while a sweep runs: a live table on a terminal with `rich`, else one line a trial."""

import os
import sys
from typing import IO, Literal, Protocol, get_args

from lightning_tune._imports import available, require
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.events import Event
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError
from lightning_tune.track.foreseen import Foresees
from lightning_tune.track.lines import LineScreen
from lightning_tune.track.plaintext import is_unicode
from lightning_tune.track.tally import Describes, Tally

Mode = Literal["auto", "rich", "plain", "none"]


class Screen(Protocol):
    """Listens to a sweep and shows it. A terminal that is gone costs the display, not the sweep."""

    def __call__(self, event: Event, history: History) -> None:
        """Take in an event; the history holds it already."""
        ...

    def start(self, text: str) -> None:
        """Show a heading and begin."""
        ...

    def note(self, text: str) -> None:
        """Show a line that stays."""
        ...

    def close(self) -> None:
        """Show how things stand for the last time and end."""
        ...


class SilentScreen:
    """Shows nothing."""

    def __call__(self, event: Event, history: History) -> None:
        """Do nothing."""

    def start(self, text: str) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def make_screen(
    mode: Mode = "auto",
    *,
    space: Describes,
    objective: Objective,
    max_trials: int | None,
    max_epochs: float | None,
    budget: Budget = EPOCHS,
    stream: IO[str] | None = None,
    foresees: Foresees | None = None,
) -> Screen:
    """Return the screen that suits a stream.

    Args:
        mode: "rich" for the live table, "plain" for one line a trial, "none" for nothing; "auto" takes the
            live table where `rich` is installed and the stream is a terminal that knows Unicode, lines
            otherwise.
        space: describes configurations.
        objective: names what is optimised.
        max_trials: how many configurations the sweep has in all, if that is known.
        max_epochs: how many epochs a trial has in all, if that is known.
        budget: what trials spend.
        stream: where to write; None is standard output.
        foresees: tells where the curve of a running trial leads, for the live table.

    Raises:
        ArgumentError: another mode.
        MissingDependencyError: `mode="rich"` without `rich`.
    """
    if mode not in get_args(Mode):
        names = ", ".join(repr(name) for name in get_args(Mode))
        raise ArgumentError(f"`mode` of a screen must be one of {names}, got {mode!r}.")
    if mode == "none":
        return SilentScreen()
    stream = sys.stdout if stream is None else stream
    tally = Tally(max_trials, budget=budget)
    if mode == "rich" or (mode == "auto" and _can_be_live(stream)):
        require("rich", "rich", "the live table")
        from lightning_tune.track.live import LiveScreen

        return LiveScreen(
            tally,
            space=space,
            objective=objective,
            max_epochs=max_epochs,
            stream=stream,
            budget=budget,
            foresees=foresees,
        )
    return LineScreen(tally, space=space, stream=stream, budget=budget)


def _can_be_live(stream: IO[str]) -> bool:
    terminal = stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    return terminal and is_unicode(stream) and available("rich")
