"""Published learning curves as they are kept: a gzip CSV a data set, one curve a row."""

import csv
import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lightning_tune.errors import ArgumentError

Array = npt.NDArray[np.float64]
ENDING = ".csv.gz"
FEWEST = 10
"""Reports of a curve; one with fewer is left out."""
STEP = re.compile(r"y\d+")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CurveTable:
    """The curves of a data set.

    Attributes:
        name: of its file, without the ending.
        values: (num_curves, num_steps), NaN where there is no report.
        configs: (num_curves, num_hyperparameters), the numbers among them; NaN where there is none.
        rises: whether the metric is an accuracy, of which more is better; else it is a loss.
    """

    name: str
    values: Array
    configs: Array
    rises: bool

    @property
    def costs(self) -> Array:
        """The curves as costs: lower is better."""
        return -self.values if self.rises else self.values

    @property
    def bounds(self) -> tuple[float, float] | None:
        """What the metric cannot leave: (0, 1) of an accuracy."""
        return (0.0, 1.0) if self.rises else None


def read_tables(folder: Path) -> list[CurveTable]:
    """Return the data sets of a folder, by name.

    Raises:
        ArgumentError: there is none.
    """
    found = [read_table(path) for path in sorted(folder.glob("*" + ENDING))]
    if not found:
        raise ArgumentError(f"`folder` must have curves in files that end in {ENDING}, got {str(folder)!r}.")
    return found


def read_table(path: Path) -> CurveTable:
    """Return the curves of a file: columns y1, y2, ... are steps, the others hyperparameters."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    steps = [place for place, name in enumerate(header) if STEP.fullmatch(name)]
    others = [place for place in range(len(header)) if place not in set(steps)]
    values = np.array([[_number(row[place]) for place in steps] for row in rows])
    configs = np.array([[_number(row[place]) for place in others] for row in rows])
    kept = np.isfinite(values).sum(axis=1) >= FEWEST
    values, configs = values[kept], configs[kept]
    numeric = np.isfinite(configs).any(axis=0)
    return CurveTable(
        name=path.name.removesuffix(ENDING),
        values=values,
        configs=configs[:, numeric],
        rises=_rises(values),
    )


def last_reports(values: Array) -> tuple[npt.NDArray[np.int64], Array]:
    """Return the step of each curve's last finite report, counted from 1, and the report."""
    steps = values.shape[1] - np.isfinite(values)[:, ::-1].argmax(axis=1)
    return steps, values[np.arange(len(values)), steps - 1]


def _number(text: str) -> float:
    """Return the number that a cell holds; text and nothing are NaN."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _rises(values: Array) -> bool:
    """Return whether a metric is an accuracy: it stays between 0 and 1, and most curves rise."""
    known = values[np.isfinite(values)]
    gain = last_reports(values)[1] - values[:, 0]
    return bool(len(known) and known.min() >= 0 and known.max() <= 1 and np.nanmedian(gain) > 0)
