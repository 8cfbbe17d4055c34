"""Learning curves that are cut off, what a method says of their ends, and how good that was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lightning_tune.curves.fitting.tables import CurveTable, last_reports

Array = npt.NDArray[np.float64]
SHARES = (0.1, 0.2, 0.4, 0.8)
"""Of each curve that is observed."""
BATCH = 100
"""Curves that are predicted at a time."""
LEVELS = (np.arange(100) + 0.5) / 100
"""Of the quantiles by which a distribution is judged."""
LEAST_LOG_DENSITY = -20.0
"""A single curve costs no more: else one that nobody foresaw would decide between all methods."""


class Distributions(Protocol):
    """What a method says of some curves' ends, one distribution a curve."""

    def log_prob(self, values: Array) -> Array:
        """Return the log density at one value a curve."""

    def quantile(self, q: Array) -> Array:
        """Return quantiles (num_curves, num_levels) at levels (num_levels,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """Curves of a data set of which a share is observed.

    Attributes:
        values: (num_curves, num_steps), NaN where there is no report or it is not observed.
        at: (num_curves,), the step of the last finite report.
        truth: (num_curves,), that report.
        configs: (num_curves, num_hyperparameters), raw.
        rises: whether more is better.
        bounds: what the metric cannot leave; None for nothing.
    """

    values: Array
    at: Array
    truth: Array
    configs: Array
    rises: bool
    bounds: tuple[float, float] | None

    def batches(self) -> Iterator["Cut"]:
        """Yield it in parts of `BATCH` curves."""
        for first in range(0, len(self.at), BATCH):
            yield self.part(np.arange(first, min(first + BATCH, len(self.at))))

    def part(self, rows: npt.NDArray[np.int64]) -> "Cut":
        """Return some of its curves."""
        return Cut(
            values=self.values[rows],
            at=self.at[rows],
            truth=self.truth[rows],
            configs=self.configs[rows],
            rises=self.rises,
            bounds=self.bounds,
        )

    def observed(self, row: int) -> tuple[Array, Array]:
        """Return the steps and the costs (lower is better) of a curve's reports."""
        steps = np.flatnonzero(np.isfinite(self.values[row])) + 1.0
        values = self.values[row][np.isfinite(self.values[row])]
        return steps, -values if self.rises else values


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """How good distributions were, a number a curve; errors in interquartile ranges of the final values."""

    log_density: Array
    error: Array
    crps: Array
    within_50: Array
    within_90: Array

    def row(
        self, method: str, data: str, share: float, sample: str, milliseconds: float
    ) -> dict[str, object]:
        """Return them as a row of a table."""
        numbers = {
            "log_density": self.log_density.mean(),
            "median_log_density": np.median(self.log_density),
            "error": self.error.mean(),
            "median_error": np.median(self.error),
            "crps": self.crps.mean(),
            "median_crps": np.median(self.crps),
            "within_50": self.within_50.mean(),
            "within_90": self.within_90.mean(),
            "ms": milliseconds,
        }
        about = {"method": method, "data": data, "share": share, "sample": sample}
        return {
            **about,
            "curves": len(self.error),
            **{name: f"{value:.5g}" for name, value in numbers.items()},
        }


def cut(table: CurveTable, share: float) -> Cut:
    """Return the curves of a table with a share of each observed, one report at least."""
    at, truth = last_reports(table.values)
    seen = np.maximum(1, np.floor(share * at))
    hidden = np.arange(1, table.values.shape[1] + 1) > seen[:, None]
    values = np.where(hidden, np.nan, table.values)
    bare = np.isnan(values).all(axis=1)
    kept = ~bare
    return Cut(
        values=values[kept],
        at=at[kept].astype(np.float64),
        truth=truth[kept],
        configs=table.configs[kept],
        rises=table.rises,
        bounds=table.bounds,
    )


def spread_of(table: CurveTable) -> float:
    """Return the interquartile range of the final values, by which all is measured."""
    low, high = np.percentile(last_reports(table.values)[1], [25, 75])
    return float(high - low)


def score(found: Distributions, truth: Array, spread: float) -> Scores:
    """Return how good distributions were."""
    quantiles = found.quantile(LEVELS)
    below = truth[:, None] - quantiles
    losses = np.where(below > 0, LEVELS * below, (LEVELS - 1.0) * below)
    return Scores(
        log_density=np.maximum(found.log_prob(truth) + np.log(spread), LEAST_LOG_DENSITY),
        error=np.abs(truth - (quantiles[:, 49] + quantiles[:, 50]) / 2.0) / spread,
        crps=2.0 * losses.mean(axis=1) / spread,
        within_50=_within(found, truth, 0.25),
        within_90=_within(found, truth, 0.05),
    )


def _within(found: Distributions, truth: Array, tail: float) -> Array:
    low, high = found.quantile(np.array([tail, 1.0 - tail])).T
    return ((truth >= low) & (truth <= high)).astype(np.float64)


def joined(scores: Sequence[Scores]) -> Scores:
    """Return the scores of several batches as one."""
    return Scores(
        **{
            name: np.concatenate([getattr(each, name) for each in scores])
            for name in ("log_density", "error", "crps", "within_50", "within_90")
        }
    )
