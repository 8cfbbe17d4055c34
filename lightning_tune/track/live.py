"""The live table, redrawn a few times a second by a thread: an event costs a trial next to nothing.

It is drawn on a Console of its own: Lightning's rich bars clear the live display of the shared one.
"""

import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import IO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.events import Event
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.track.foreseen import Foresees
from lightning_tune.track.plaintext import clean, encodable, is_unicode
from lightning_tune.track.table import Board
from lightning_tune.track.tally import Describes, Tally

_ROWS = 12
_OTHER_LINES = 6
"""Lines of the display that are not trials, and one to spare."""
_IDLE_S = 1.0


class _OwnConsole(Console):
    """A console that lets an error of its stream through, where rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled."""
        raise  # noqa: PLE0704


class LiveScreen:
    """Shows the table, and below it the best trial, how far the sweep is and what is left.

    Args:
        tally: counts what happens.
        space: describes configurations.
        objective: names the score.
        max_epochs: an epoch budget to show where a trial has none of its own.
        stream: where to draw.
        budget: what trials spend.
        refresh_s: the shortest time between two drawings.
        foresees: tells where the curve of a running trial leads.
    """

    def __init__(
        self,
        tally: Tally,
        *,
        space: Describes,
        objective: Objective,
        max_epochs: float | None,
        stream: IO[str],
        budget: Budget = EPOCHS,
        refresh_s: float = 0.3,
        foresees: Foresees | None = None,
    ) -> None:
        self._tally = tally
        self._stream = stream
        self._refresh_s = refresh_s
        self._console = _OwnConsole(
            file=stream, force_terminal=True, highlight=False, markup=False, emoji=False
        )
        ascii_only = not is_unicode(stream)
        self._board = Board(
            space=space,
            objective=objective,
            max_epochs=max_epochs,
            budget=budget,
            ascii_only=ascii_only,
            foresees=foresees,
        )
        self._live: Live | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._gone = False

    def __call__(self, event: Event, history: History) -> None:
        """Take in an event; the thread will draw it."""
        with self._lock:
            self._tally.update(event, history)
        self._news.set()

    def start(self, text: str) -> None:
        """Show a heading, and the table below it."""
        self.note(text)
        if self._thread is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                vertical_overflow="crop",
                redirect_stdout=self._stream is sys.stdout,  # what the user prints goes above the table
                redirect_stderr=self._stream is sys.stdout and sys.stderr.isatty(),
            )
            self._attempt(self._live.start)
            self._thread = threading.Thread(target=self._run, name="lightning-tune-screen", daemon=True)
            self._thread.start()

    def note(self, text: str) -> None:
        """Show a line (or several) above the table."""
        for line in text.splitlines():
            shown = Text(encodable(clean(line), self._stream))
            self._attempt(partial(self._console.print, shown, soft_wrap=True))

    def close(self) -> None:
        """Draw the table for the last time and leave it there."""
        if self._thread is None or self._live is None:
            return
        self._closing.set()
        self._news.set()
        self._thread.join()
        self._attempt(self._draw)
        self._attempt(self._live.stop)
        self._thread = self._live = None

    def _run(self) -> None:
        while not self._closing.is_set():
            self._attempt(self._draw)
            self._closing.wait(self._refresh_s)
            self._news.wait(_IDLE_S)
            self._news.clear()

    def _draw(self) -> None:
        width, height = self._console.size
        with self._lock:
            shown = self._board.render(
                self._tally, width=width, rows=max(3, min(_ROWS, height - _OTHER_LINES))
            )
        if self._live is not None:
            self._live.update(shown, refresh=True)

    def _attempt(self, act: Callable[[], object]) -> None:
        """Draw, unless the terminal is gone."""
        if self._gone:
            return
        try:
            act()
        except (OSError, ValueError):  # a closed pipe or stream: nobody looks any more
            self._gone = True
        except Exception as error:
            self._gone = True
            warnings.warn(
                f"the live table failed ({type(error).__name__}: {error}); the sweep goes on without it.",
                stacklevel=2,
            )
