"""Rows of `curves.py`, what is printed of them, and which claims hold.

Errors are in units of the interquartile range of a data set's final values; a log density is that of the
final value in these units, and no lower than -20 for a single curve. `crps` is the continuous ranked
probability score (Gneiting & Raftery 2007), from a hundred quantiles. Losses can explode: some final values
are 1e19 ranges off, and then a mean says what one curve did, so that medians stand beside means. Over data
sets errors and CRPS are averaged geometrically, since their sizes differ by orders of magnitude: what counts
is by how many times.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from curve_cuts import SHARES
from recording import print_table

Row = dict[str, Any]
OURS = "lightning_tune"
OTHERS = ("last_value", "power_law", "domhan_mcmc", "lcpfn")
COVERAGE = (0.87, 0.93)
MOST_MS = 10.0


def show(rows: Sequence[Row]) -> None:
    """Print a table over all data sets, one a share that is observed, and one a data set."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for share in (*SHARES, None):
        seen = "all shares" if share is None else f"{share:.0%} observed"
        print(f"\n{seen}: over data sets, the same curves for each method\n")
        print_table(HEADER, [_cells(name, over(rows, name, share)) for name in methods])
    print("\neach data set, all shares: log density (mean), CRPS (median), within 90%\n")
    data = list(dict.fromkeys(row["data"] for row in rows))
    table = []
    for each in data:
        chosen = [row for row in rows if row["data"] == each]
        found = [over(chosen, name, None) for name in methods]
        table.append(
            [each, *(f"{f['log_density']:.2f} {f['median_crps']:.2g} {f['within_90']:.0%}" for f in found)]
        )
    print_table(["data set", *methods], table)


HEADER = (
    "method",
    "log density",
    "(median)",
    "CRPS (median)",
    "(mean)",
    "error (median)",
    "within 50%",
    "within 90%",
    "ms a curve",
)


def _cells(name: str, found: dict[str, float]) -> list[str]:
    return [
        name,
        f"{found['log_density']:.2f}",
        f"{found['median_log_density']:.2f}",
        f"{found['median_crps']:.3g}",
        f"{found['crps']:.3g}",
        f"{found['median_error']:.3g}",
        f"{found['within_50']:.0%}",
        f"{found['within_90']:.0%}",
        f"{found['ms']:.3g}",
    ]


def over(rows: Sequence[Row], method: str, share: float | None, sample: str = "sample") -> dict[str, float]:
    """Return means over data sets (and shares) of each column, geometric ones of errors and of CRPS."""
    chosen = [
        row
        for row in rows
        if row["method"] == method
        and row["sample"] == sample
        and (share is None or float(row["share"]) == share)
    ]
    found = {}
    for column in COLUMNS:
        values = np.array([float(row[column]) for row in chosen])
        geometric = column in ("error", "median_error", "crps", "median_crps")
        found[column] = float(np.exp(np.log(values).mean()) if geometric else values.mean())
    return found


COLUMNS = (
    "log_density",
    "median_log_density",
    "error",
    "median_error",
    "crps",
    "median_crps",
    "within_50",
    "within_90",
    "ms",
)


def summary(rows: Sequence[Row]) -> Row:
    """Return what was found, for a program to read: by method, over all data sets and of each."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    return {
        "methods": {
            name: {"all": over(rows, name, None), **{str(share): over(rows, name, share) for share in SHARES}}
            for name in methods
        },
        "rows": list(rows),
    }


def broken(rows: Sequence[Row]) -> list[str]:
    """Return which of the claims do not hold."""
    own = over(rows, OURS, None)
    faults = []
    for name in (name for name in OTHERS if any(row["method"] == name for row in rows)):
        other = over(rows, name, None)
        if other["log_density"] >= own["log_density"]:
            faults.append(
                f"log density: {name} has {other['log_density']:.2f}, ours {own['log_density']:.2f}"
            )
        for column in ("crps", "median_crps"):
            if other[column] <= own[column]:
                faults.append(f"{column}: {name} has {other[column]:.3g}, ours {own[column]:.3g}")
    if not COVERAGE[0] <= own["within_90"] <= COVERAGE[1]:
        faults.append(f"the 90% intervals hold {own['within_90']:.1%} of the final values")
    if own["ms"] > MOST_MS:
        faults.append(f"ours takes {own['ms']:.1f} ms a curve")
    return faults
