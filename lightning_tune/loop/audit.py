"""What an audit found: how often a sweep was wrong to stop a trial, with the interval of that share.

Stops are independent of one another, more or less, and a share of a few independent trials has the interval
of Clopper & Pearson, *The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial*,
Biometrika 26 (1934): it never promises more than it holds, for few stops and for a share of 0 too.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_tune._imports import require
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.inspect.pages import table
from lightning_tune.inspect.rows import step_columns

if TYPE_CHECKING:
    import pandas as pd

_HEADER = ("trial", "stopped at", "score", "target", "at the end", "wrong", "reason")
_TAIL = 0.025
"""The probability on either side of a 95% interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """A stopped trial, as it was stopped and as it is at the end.

    Attributes:
        trial: its number in the sweep.
        step: how far it had trained when it was stopped, in the budget's unit.
        reason: why it was stopped, in words.
        score: its score by then; None without a finite report.
        target: the best score of the sweep by then (its own included); None without any.
        value: its last value at the full budget; None where it failed when it was trained again.
        wrong: whether that value beats the target (by the schedule's `min_delta`); None where it failed.
        error: why it failed, in words; empty where it did not.
    """

    trial: int
    step: float
    reason: str
    score: float | None
    target: float | None
    value: float | None = None
    wrong: bool | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True, repr=False)
class Audit:
    """How often a sweep was wrong to stop a trial.

    Attributes:
        sweep: the sweep's name.
        rows: the stops that were audited, by the numbers of their trials.
        num_stops: how many there were to draw from.
        threshold: the share of wrong stops that the schedule promised to stay below; None where it promised
            nothing.
        reason: why the audit ended before its time, in words; empty where it did not.
        budget: what trials spent.

    Example:
        >>> row = AuditRow(trial=3, step=2, reason="P = 0.01", score=0.7, target=0.9, value=0.8, wrong=False)
        >>> print(Audit(sweep="digits", rows=(row,), num_stops=1, threshold=0.05))
        trial  stopped at  score  target  at the end  wrong  reason
        3      2 epochs    0.7    0.9     0.8         no     P = 0.01
        0 of 1 stops were wrong: 0% [0%, 98%], promised at most 5%
    """

    sweep: str
    rows: tuple[AuditRow, ...]
    num_stops: int
    threshold: float | None = None
    reason: str = ""
    budget: Budget = EPOCHS

    @property
    def num_wrong(self) -> int:
        """How many stops were wrong."""
        return sum(row.wrong is True for row in self.rows)

    @property
    def num_judged(self) -> int:
        """How many stops could be judged: a trial that failed when it was trained again cannot."""
        return sum(row.wrong is not None for row in self.rows)

    @property
    def rate(self) -> float | None:
        """The share of the judged stops that were wrong; None where none was judged."""
        return self.num_wrong / self.num_judged if self.num_judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the rate by Clopper and Pearson; (0, 1) where none was judged."""
        from scipy.special import betaincinv

        wrong, right = self.num_wrong, self.num_judged - self.num_wrong
        low = float(betaincinv(wrong, right + 1, _TAIL)) if wrong else 0.0
        high = float(betaincinv(wrong + 1, right, 1 - _TAIL)) if right else 1.0
        return low, high

    def dataframe(self) -> "pd.DataFrame":
        """Return a table with a row a stop: the attributes of `AuditRow`, its step named as the budget is.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        pandas = require("pandas", "pandas", "`Audit.dataframe`")
        step, _ = step_columns(self.budget)
        names = {"trial": "trial", step: "step", "reason": "reason", "score": "score", "target": "target"}
        names |= {"value": "value", "wrong": "wrong", "error": "error"}
        columns = {column: [getattr(row, name) for row in self.rows] for column, name in names.items()}
        return pandas.DataFrame(columns)

    def __str__(self) -> str:
        return "\n".join([table(_HEADER, self._cells()), self.sentence] if self.rows else [self.sentence])

    def __repr__(self) -> str:
        return f"<Audit {self.sweep!r}: {self.sentence}>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>" + html_table(_HEADER, self._cells())

    def _cells(self) -> list[list[str]]:
        return [
            [
                str(row.trial),
                self.budget.amount(row.step),
                *("" if value is None else f"{value:.6g}" for value in (row.score, row.target, row.value)),
                "failed" if row.wrong is None else "yes" if row.wrong else "no",
                f"{row.reason}; trained again: {row.error}" if row.error else row.reason,
            ]
            for row in self.rows
        ]

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if not self.num_stops:
            return "the schedule stopped no trial: there is nothing to audit"
        wrong, failed = self.num_wrong, len(self.rows) - self.num_judged
        parts = ["no stop was judged"]
        if self.rate is not None:
            low, high = map(_percent, self.interval)
            verb = "was" if wrong == 1 else "were"
            share = f"{_percent(self.rate)} [{low}, {high}]"
            parts = [f"{wrong} of {self.num_judged} stops {verb} wrong: {share}"]
        if self.threshold is not None:
            parts[0] += f", promised at most {100 * self.threshold:.3g}%"
        if failed:
            parts.append(f"{failed} failed when trained again, not counted")
        return "; ".join([*parts, self.reason] if self.reason else parts)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a notebook, all text escaped.

    Example:
        >>> html_table(["a"], [["<"]])
        '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _percent(share: float) -> str:
    """Return a share in whole percents; below one with the first digit that is not 0."""
    percent = 100 * share
    return f"{percent:.0f}%" if percent >= 1 or not percent else f"{percent:.1g}%"
