"""Rules that end a trial early, and what a sweep of recorded curves costs and finds under each.

A sweep trains its curves one after the other, in order. A rule says after which report a curve is stopped,
from what it and the curves before it showed. What the sweep finds is the best last report among its trials,
stopped ones included; its regret is how much better the best final value of all its curves is.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lightning_tune.curves.noise import noise
from lightning_tune.curves.prediction import Prediction
from lightning_tune.schedule.curve import CLEARLY

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A curve of costs (lower is better).

    Attributes:
        number: in its data set.
        costs: (num_reports,), all finite.
        steps: (num_reports,), when they came; the last is the end.
    """

    number: int
    costs: Array
    steps: Array

    @property
    def length(self) -> float:
        """The step of its last report."""
        return float(self.steps[-1])


class Rule(Protocol):
    """Decides sequentially; a new one for each sweep."""

    def stops_after(self, curve: Curve) -> int:
        """Return after how many reports a curve is stopped; all of them where it is not."""


class Patience:
    """Stop what has not improved on its own best for so many reports (Lightning's EarlyStopping)."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def stops_after(self, curve: Curve) -> int:
        """Return after how many reports a curve is stopped."""
        best, since = np.inf, 0
        for place, cost in enumerate(curve.costs):
            best, since = (cost, 0) if cost < best else (best, since + 1)
            if since >= self.patience:
                return place + 1
        return len(curve.costs)


class Median:
    """The rule of Vizier: stop what is worse than the median of the others' running averages."""

    def __init__(self, grace: float, min_trials: int = 5) -> None:
        self.grace, self.min_trials = grace, min_trials
        self.averages: list[Array] = []

    def stops_after(self, curve: Curve) -> int:
        """Return after how many reports a curve is stopped."""
        bests = np.minimum.accumulate(curve.costs)
        first = max(1, round(self.grace * len(curve.costs)))
        stopped = len(curve.costs)
        for place in range(first - 1, len(curve.costs) - 1):
            others = [average[place] for average in self.averages if place < len(average)]
            if len(others) >= self.min_trials and bests[place] > np.median(others):
                stopped = place + 1
                break
        self.averages.append(
            np.cumsum(curve.costs[:stopped]) / np.arange(1.0, stopped + 1)  # as far as it was trained
        )
        return stopped


class Asha:
    """Asynchronous successive halving that stops at once: at each rung the best 1/eta so far go on."""

    def __init__(self, eta: int, first: float) -> None:
        self.eta, self.first = eta, first
        self.rungs: dict[int, list[float]] = {}

    def stops_after(self, curve: Curve) -> int:
        """Return after how many reports a curve is stopped."""
        bests = np.minimum.accumulate(curve.costs)
        level = max(1, round(self.first * len(curve.costs)))
        while level < len(curve.costs):
            rung = self.rungs.setdefault(level, [])
            bisect.insort(rung, float(bests[level - 1]))
            if bisect.bisect_left(rung, float(bests[level - 1])) >= max(1, len(rung) // self.eta):
                return level
            level *= self.eta
        return len(curve.costs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outlook:
    """What was predicted of a curve's end after so many reports, (num_checks,) of both."""

    seen: npt.NDArray[np.int64]
    end: Prediction


class CurveRule:
    """`CurveStopping` under `score="last"`: stop what will hardly end better than the best so far.

    Hardly means with less than a chance of `threshold`. A curve goes on if it is not clearly behind where the
    best one that was trained to its end was by then. Around another rule, what that one stops is stopped.
    """

    def __init__(
        self,
        threshold: float,
        outlooks: Mapping[int, Outlook],
        inner: Rule | None = None,
        min_reports: int = 4,
    ) -> None:
        self.threshold, self.outlooks, self.min_reports = threshold, outlooks, min_reports
        self.inner = inner
        self.leader: Curve | None = None
        self.best = np.inf

    def stops_after(self, curve: Curve) -> int:
        """Return after how many reports a curve is stopped; none is before one came to its end."""
        stopped = len(curve.costs) if self.inner is None else self.inner.stops_after(curve)
        if self.leader is not None:
            stopped = min(stopped, self._stops_after(curve, self.leader))
        if stopped == len(curve.costs) and (self.leader is None or curve.costs[-1] < self.leader.costs[-1]):
            self.leader = curve
        self.best = min(self.best, float(curve.costs[stopped - 1]))
        return stopped

    def _stops_after(self, curve: Curve, leader: Curve) -> int:
        outlook = self.outlooks[curve.number]
        hopeless = outlook.end.prob_better(self.best) < self.threshold
        hopeless &= (outlook.seen >= self.min_reports) & (outlook.seen < len(curve.costs))
        for seen in outlook.seen[hopeless]:
            known = curve.costs[:seen]
            abreast = leader.costs[:seen].min() + CLEARLY * noise(known[None])[0]
            if known.min() > max(abreast, self.best):
                return int(seen)
        return len(curve.costs)


class Oracle:
    """Knows how every curve ends: trains what is better than all before it, and one report of the others."""

    def __init__(self) -> None:
        self.best = np.inf

    def stops_after(self, curve: Curve) -> int:
        """Return after how many reports a curve is stopped."""
        if curve.costs[-1] >= self.best:
            return 1
        self.best = float(curve.costs[-1])
        return len(curve.costs)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a sweep cost and found: the share of steps saved, and the regret in units of the metric."""

    saved: float
    regret: float


def replay(rule: Rule, curves: Sequence[Curve]) -> Outcome:
    """Return what becomes of a sweep under a rule."""
    trained, best = 0.0, np.inf
    for curve in curves:
        stopped = rule.stops_after(curve)
        trained += float(curve.steps[stopped - 1])
        best = min(best, float(curve.costs[stopped - 1]))
    whole = sum(curve.length for curve in curves)
    final = min(float(curve.costs[-1]) for curve in curves)
    return Outcome(saved=1.0 - trained / whole, regret=max(best - final, 0.0))
