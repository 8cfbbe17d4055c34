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
        target: what it had to beat. Where the schedule promised a share of wrong stops, the best score of the
            sweep by then (its own included); else that of the whole sweep, at its end. None without any.
        value: what it comes to at the full budget: its last value, or, for a target of the whole sweep, its
            score. None where it did not get there.
        wrong: whether that value beats the target (by the schedule's `min_delta`), which a trial that
            diverges on the way does not; None where it did not get there otherwise.
        error: why it did not, in words; empty where it did.
        early: whether something of the user's own ended it before, without an error.
    """

    trial: int
    step: float
    reason: str
    score: float | None
    target: float | None
    value: float | None = None
    wrong: bool | None = None
    error: str = ""
    early: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Audit:
    """How often a sweep was wrong to stop a trial: one that would have beaten the best.

    The best by then, where the schedule promised that so few would; that of the whole sweep where it promised
    nothing. At a first rung most stopped trials would beat a best that has not trained any further itself,
    and stopping them is no fault while a better one goes on.

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
        """How many stops could be judged: not those of trials that did not get to the end this time."""
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
        names |= {name: name for name in ("value", "wrong", "error", "early")}
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
                row_verdict(row, "yes", "no"),
                f"{row.reason}; trained again: {row.error}" if row.error else row.reason,
            ]
            for row in self.rows
        ]

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if not self.num_stops:
            return "the schedule stopped no trial: there is nothing to audit"
        early = sum(row.early for row in self.rows)
        failed = len(self.rows) - self.num_judged - early
        parts = [self._share]
        if early:
            parts.append(f"{early} ended early when trained again, not counted")
        if failed:
            parts.append(f"{failed} failed when trained again, not counted")
        return "; ".join([*parts, self.reason] if self.reason else parts)

    @property
    def _share(self) -> str:
        promise = "" if self.threshold is None else f", promised at most {100 * self.threshold:.3g}%"
        if self.rate is None:
            return f"no stop was judged{promise}"
        low, high = map(_percent, self.interval)
        share = f"{_percent(self.rate)} [{low}, {high}]"
        if self.threshold is None:
            those = f"{self.num_wrong} of {self.num_judged} stopped trials"
            return f"{those} would have beaten the sweep's best: {share}"
        verb = "was" if self.num_wrong == 1 else "were"
        return f"{self.num_wrong} of {self.num_judged} stops {verb} wrong: {share}{promise}"


def row_verdict(row: AuditRow, wrong: str, right: str) -> str:
    """Return what was found of a stop in a word or two, of which two are given."""
    if row.wrong is None:
        return "ended early" if row.early else "failed"
    return wrong if row.wrong else right


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
