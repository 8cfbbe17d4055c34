"""The table of a running sweep as `rich` draws it: a dozen trials at most, and how far the sweep is.

Text of the user's goes through `Text` without controls, never through markup. What a narrow terminal has no
room for is left out: the ends of configurations and reasons, then the curves, then the reasons. With several
objectives the curve is that of the first, and a star marks the trials of the front.
"""

from rich.console import Group, OverflowMethod, RenderableType
from rich.table import Table
from rich.text import Text

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.objective import Objective
from lightning_tune.core.trial import Trial
from lightning_tune.track.foreseen import Foresees, fan
from lightning_tune.track.lines import explain, frame_of
from lightning_tune.track.plaintext import clean, duration_range, progress, scores, size, spent, unit
from lightning_tune.track.sparkline import sparkline
from lightning_tune.track.tally import Describes, Tally

_WIDE, _MEDIUM = 110, 76
_CONFIG, _CURVE, _SCORE, _STATE = 1, 3, 4, 5
"""Columns, by number."""
_RIGHT = (0, 2, 4)
_GAP = 2
_STYLES = {
    "running": "cyan",
    "completed": "green",
    "stopped": "yellow",
    "paused": "blue",
    "failed": "red",
    "waiting": "dim",
}


class Board:
    """Draws a tally.

    Args:
        space: describes configurations.
        objective: names the score.
        max_epochs: an epoch budget to show where a trial has none of its own.
        budget: what trials spend.
        ascii_only: the terminal knows no other characters.
        foresees: tells where the curve of a running trial leads.
    """

    def __init__(
        self,
        *,
        space: Describes,
        objective: Objective,
        max_epochs: float | None,
        budget: Budget = EPOCHS,
        ascii_only: bool = False,
        foresees: Foresees | None = None,
    ) -> None:
        self._space = space
        self._objective = objective
        self._max_epochs = max_epochs if budget.name == "epochs" else None
        self._budget = budget
        self._ascii = ascii_only
        self._overflow: OverflowMethod = "crop" if ascii_only else "ellipsis"
        self._dot = " | " if ascii_only else " · "
        self._foresees = foresees
        self._texts: dict[int, Text] = {}

    def render(self, tally: Tally, *, width: int, rows: int) -> RenderableType:
        """Return the whole display for a terminal of `width` columns with room for `rows` trials."""
        return Group(self._table(tally, width, rows), self._best(tally), self._progress(tally))

    def _table(self, tally: Tally, width: int, rows: int) -> Table:
        curve = 12 if width >= _WIDE else 8 if width >= _MEDIUM else 0
        head = [
            Text("trial"),
            Text("configuration"),
            Text(unit(self._budget)),
            Text("curve"),
            self._score_name(),
            Text("state"),
        ]
        cells = [
            [
                self._number(trial, trial is tally.best or trial in tally.front),
                self._config(trial),
                self._epoch(trial),
                self._curve(trial, curve),
                Text(scores(trial.scores)),
                self._state(trial, reason=curve > 0, wide=width >= _WIDE),
            ]
            for trial in tally.rows(rows)
        ]
        widths = _widths([head, *cells], width, curve, self._objectives)
        table = Table(box=None, expand=True, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
        shown = [index for index in range(len(head)) if index != _CURVE or curve]
        for index in shown:
            table.add_column(
                head[index],
                justify="right" if index in _RIGHT else "left",
                width=widths[index],
                no_wrap=True,
                overflow=self._overflow,
            )
        for row in cells:
            table.add_row(*(row[index] for index in shown))
        return table

    # -- cells ----------------------------------------------------------------------------------------------

    @property
    def _objectives(self) -> int:
        """How many numbers a trial is compared by."""
        return 1 if self._objective.scalar else len(self._objective.monitor)

    def _score_name(self) -> Text:
        if len(self._objective.monitor) > self._objectives:
            return Text("score")
        return Text(", ".join(map(self._clean, self._objective.monitor)))

    def _number(self, trial: Trial, best: bool) -> Text:
        star = "*" if self._ascii else "★"
        return Text(f"{star} {trial.number}" if best else str(trial.number), style="bold" if best else "")

    def _config(self, trial: Trial) -> Text:
        if trial.number not in self._texts:
            self._texts[trial.number] = Text(self._clean(self._space.describe(trial.config)))
        return self._texts[trial.number]

    def _epoch(self, trial: Trial) -> Text:
        budget = trial.budget if 0 < trial.budget < float("inf") else self._max_epochs
        return Text(progress(self._budget, trial.step, budget))

    def _curve(self, trial: Trial, width: int) -> Text:
        _, values = trial.curve()
        return Text(sparkline(values.tolist(), width, ascii_only=self._ascii), style="cyan")

    def _state(self, trial: Trial, *, reason: bool, wide: bool) -> Text:
        text = Text(trial.state, style=_STYLES.get(trial.state, ""))
        why = self._clean(explain(trial) if reason else frame_of(trial) or "")
        if why:
            text.append(f" {why}", style="default")
        elif wide and self._foresees is not None and (found := self._foresees(trial)) is not None:
            text.append(f" {fan(found, ascii_only=self._ascii)}", style="default")
        return text

    def _clean(self, text: str) -> str:
        cleaned = clean(text)
        return cleaned.encode("ascii", "replace").decode() if self._ascii else cleaned

    # -- below the table -------------------------------------------------------------------------------------

    def _best(self, tally: Tally) -> Text:
        best = tally.best
        if best is None:
            return Text("best: none so far", style="dim", no_wrap=True)
        named = f"front of {len(tally.front)}{self._dot}best compromise " if tally.front else "best "
        text = Text.assemble(
            named, (scores(best.scores), "bold"), f"{self._dot}trial {best.number}{self._dot}"
        )
        text.append(self._config(best).plain)
        text.no_wrap, text.overflow = True, self._overflow
        return text

    def _progress(self, tally: Tally) -> Text:
        total = "" if tally.max_trials is None else f"/{tally.max_trials}"
        parts = [f"{tally.ended}{total} trials", spent(self._budget, tally.spent)]
        left = tally.time_left()
        if left is not None and left[1] > 0:
            parts.append(f"{duration_range(*left)} left")
        if tally.checkpoint_bytes:
            parts.append(f"{size(tally.checkpoint_bytes)} checkpoints")
        return Text(self._dot.join(parts))


def _widths(rows: list[list[Text]], width: int, curve: int, objectives: int) -> list[int]:
    """Return each column's width: configuration and state share what the others leave, each as it needs."""
    widths = [max(row[index].cell_len for row in rows) for index in range(len(rows[0]))]
    widths[_CURVE], widths[_SCORE] = curve, min(widths[_SCORE], 12 * objectives)
    gaps = _GAP * (len(widths) - (1 if curve else 2))
    others = sum(widths) - widths[_CONFIG] - widths[_STATE]
    spare = max(2, width - others - gaps)
    share = spare * 5 // 9 if curve else spare // 3
    widths[_CONFIG] = max(1, min(widths[_CONFIG], max(share, spare - widths[_STATE])))
    widths[_STATE] = max(1, spare - widths[_CONFIG])
    return widths
