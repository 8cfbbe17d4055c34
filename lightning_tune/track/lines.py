"""One line a trial, for logs and pipes and where `rich` is not installed."""

from typing import IO

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.events import Event, TrialEnded
from lightning_tune.core.history import History
from lightning_tune.core.trial import Trial
from lightning_tune.track.frames import user_frame
from lightning_tune.track.plaintext import clean, duration_range, encodable, scores, trained
from lightning_tune.track.tally import Describes, Tally


class LineScreen:
    """Writes a line when a trial ends."""

    def __init__(self, tally: Tally, *, space: Describes, stream: IO[str], budget: Budget = EPOCHS) -> None:
        self._tally = tally
        self._space = space
        self._stream = stream
        self._budget = budget
        self._gone = False

    def __call__(self, event: Event, history: History) -> None:
        """Take in an event, and write the line if it ends a trial."""
        self._tally.update(event, history)
        if isinstance(event, TrialEnded):
            self._write(self.line(history.trials[event.trial]))

    def start(self, text: str) -> None:
        """Write a heading."""
        self.note(text)

    def note(self, text: str) -> None:
        """Write a line (or several)."""
        for line in text.splitlines():
            self._write(clean(line))

    def close(self) -> None:
        """Do nothing: every line is out."""

    def line(self, trial: Trial) -> str:
        """Return the line of a trial that has ended."""
        total = "" if self._tally.max_trials is None else f"/{self._tally.max_trials}"
        length = trained(self._budget, trial.step, trial.budget)
        parts = [
            f"[{self._tally.ended}{total}] trial {trial.number} {trial.state}, {length}",
            f"score {scores(trial.scores)}",
            clean(self._space.describe(trial.config)),
            explain(trial),
            self._best(),
            self._left(),
        ]
        return " | ".join(part for part in parts if part)

    def _best(self) -> str:
        best, front = self._tally.best, self._tally.front
        if best is None:
            return ""
        named = f"front of {len(front)}, best compromise" if front else "best"
        return f"{named} {scores(best.scores)} (trial {best.number})"

    def _left(self) -> str:
        left = self._tally.time_left()
        return "" if left is None or left[1] <= 0 else f"{duration_range(*left)} left"

    def _write(self, line: str) -> None:
        if self._gone:
            return
        try:
            self._stream.write(encodable(line, self._stream) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe or stream: nobody reads any more
            self._gone = True


def explain(trial: Trial) -> str:
    """Return why a trial is in its state; for a failed one the line of the user's code first.

    The reason may end in that line already: in a narrow cell it would be cut off there.
    """
    frame = frame_of(trial)
    if frame is None:
        return clean(trial.reason)
    return clean(f"{frame} {trial.reason.replace(f' ({frame})', '')}")


def frame_of(trial: Trial) -> str | None:
    """Return the file and line of the user's code at which a trial failed, if it did."""
    return user_frame(trial.error) if trial.error else None
