"""The rows of `curves.py`: a CSV a method, so that a rerun needs only ours."""

import csv
from collections.abc import Sequence
from typing import Any

from curve_methods import METHODS
from recording import RESULTS, environment, write_csv

FOLDER = RESULTS / "curves"
PACKAGES = ("lightning-tuneloop", "torch", "scipy", "numpy")
Row = dict[str, Any]


def read() -> list[Row]:
    """Return the rows of all methods that have some, in the order of the methods."""
    rows: list[Row] = []
    for name in METHODS:
        path = FOLDER / f"{name}.csv"
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                rows += csv.DictReader(file)
    return rows


def write(name: str, rows: Sequence[Row]) -> None:
    """Replace a method's rows."""
    extra = {"domhan_mcmc": ("emcee",), "lcpfn": ("lcpfn",)}.get(name, ())
    where = environment((*PACKAGES, *extra))
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_csv(FOLDER / f"{name}.csv", [{**row, **where} for row in rows])
