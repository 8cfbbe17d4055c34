"""Epochs saved against what is lost, where sweeps over real curves stop trials early: ours and three others.

    python benchmarks/stopping.py --data FOLDER               # networks as in `curves.py`
    python benchmarks/stopping.py --data FOLDER --json FILE   # new data: with the prior of the package
    python benchmarks/stopping.py --data FOLDER --quick       # 100 curves a data set; writes nothing
    python benchmarks/stopping.py --recorded                  # the tables from the rows that are there

From each data set 30 sweeps of 60 curves are drawn with a seed, and replayed under every rule and setting
(`stopping_rules.py`). Regret is in accuracy, for losses in interquartile ranges of the final values.

Two claims, and an exit status that tells when one does not hold, on data sets of either kind:
`CurveStopping`, alone and around ASHA, saves at least half of the epochs at a median regret of at most 0.002
(0.01 for losses); and no setting of another rule (the oracle is none) saves as much on average with as little
mean regret as `CurveStopping(ASHA(eta=2, min_budget=...))`, with rungs from an eighth of the epochs on.
"""

import argparse
import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from curve_cuts import spread_of  # noqa: E402
from curve_folds import networks  # noqa: E402
from recording import RESULTS, environment, print_table, write_csv  # noqa: E402
from stopping_figure import draw  # noqa: E402
from stopping_rules import (  # noqa: E402
    Asha,
    Curve,
    CurveRule,
    Median,
    Oracle,
    Outlook,
    Patience,
    Rule,
    replay,
)

from lightning_tune.curves import Prediction  # noqa: E402
from lightning_tune.curves.fitting.tables import CurveTable, read_tables  # noqa: E402
from lightning_tune.curves.network import Network, shipped  # noqa: E402
from lightning_tune.curves.posterior import extrapolate_by  # noqa: E402

CURVES, SWEEPS, TRIALS = 300, 30, 60
QUICK = 100
CHECKS = 50
"""How often a curve is looked at, at most."""
THRESHOLD = 0.05
DEFAULTS = ("lightning_tune, threshold 0.05", "lightning_tune on asha, eta 2, from 12.5%")
"""`CurveStopping()` and `CurveStopping(ASHA(eta=2, min_budget=...))`."""
MOST_REGRET = {"accuracy": 0.002, "loss": 0.01}
PACKAGES = ("lightning-tuneloop", "torch", "scipy", "numpy")
Outlooks = Mapping[int, Outlook]
Row = dict[str, Any]
RULES: dict[str, Callable[[Outlooks], Rule]] = {
    **{
        f"lightning_tune, threshold {threshold:g}": lambda outlooks, threshold=threshold: CurveRule(
            threshold, outlooks
        )
        for threshold in (0.005, 0.02, 0.05, 0.1, 0.2)
    },
    **{
        f"lightning_tune on asha, eta {eta}, from {first:.1%}": lambda outlooks, eta=eta, first=first: (
            CurveRule(THRESHOLD, outlooks, Asha(eta, first))
        )
        for eta in (2, 3, 4)
        for first in (eta**-4, eta**-3, eta**-2)
    },
    **{
        f"median, after {grace:.0%}": lambda _, grace=grace: Median(grace)
        for grace in (0.02, 0.1, 0.2, 0.4, 0.6)
    },
    **{
        f"asha, eta {eta}, from {first:.1%}": lambda _, eta=eta, first=first: Asha(eta, first)
        for eta in (2, 3, 4)
        for first in (eta**-4, eta**-3, eta**-2, eta**-1)
    },
    **{f"patience {number}": lambda _, number=number: Patience(number) for number in (2, 3, 5, 10, 20)},
    "oracle": lambda _: Oracle(),
}


def main() -> None:
    """Replay all sweeps, print the tables, write CSV and figure; fail if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a folder of curves")
    parser.add_argument("--json", type=Path, help="use the prior of the package, and write a summary there")
    parser.add_argument("--quick", action="store_true", help="100 curves a data set; writes nothing")
    parser.add_argument("--recorded", action="store_true", help="measure nothing")
    args = parser.parse_args()
    if not args.recorded and args.data is None:
        parser.error("--data FOLDER is needed (or --recorded)")
    rows = recorded() if args.recorded else measure(args)
    lines = summary(rows)
    show(rows, lines)
    if args.json:
        args.json.write_text(json.dumps({"rules": lines, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    elif not args.quick:
        if not args.recorded:
            where = environment(PACKAGES)
            write_csv(RESULTS / "stopping.csv", [{**row, **where} for row in rows])
        draw(RESULTS / "stopping.png", lines)
    faults = [] if args.quick else broken(lines)  # so few curves do not tell
    if faults:
        raise SystemExit("does not hold:\n" + "\n".join(faults))


def measure(args: argparse.Namespace) -> list[Row]:
    """Replay the sweeps of all data sets."""
    tables = read_tables(args.data)
    nets = [shipped()] * len(tables) if args.json else networks(args.data, tables)
    rows: list[Row] = []
    for table, network in zip(tables, nets, strict=True):
        rows += sweep(table, network, QUICK if args.quick else CURVES)
        print(f"{table.name}: done", flush=True)
    return rows


def recorded() -> list[Row]:
    """Return the rows of the last full run."""
    with (RESULTS / "stopping.csv").open(encoding="utf-8", newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    numbers = ("saved", "median_regret", "mean_regret")
    return [{**row, **{name: float(row[name]) for name in numbers}} for row in rows]


def sweep(table: CurveTable, network: Network, most: int) -> list[Row]:
    """Return a row a rule: what the sweeps over a data set saved and lost under it."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(table.values))[:most])
    curves = [_curve(int(number), table) for number in chosen]
    outlooks = predicted(table, curves, network)
    draws = [rng.permutation(len(curves))[:TRIALS] for _ in range(SWEEPS)]
    unit = 1.0 if table.rises else spread_of(table)
    rows = []
    for name, make in RULES.items():
        found = [replay(make(outlooks), [curves[place] for place in order]) for order in draws]
        regrets = np.array([outcome.regret for outcome in found]) / unit
        rows.append(
            {
                "rule": name,
                "data": table.name,
                "metric": "accuracy" if table.rises else "loss",
                "sweeps": SWEEPS,
                "trials": min(TRIALS, len(curves)),
                "saved": round(float(np.mean([outcome.saved for outcome in found])), 4),
                "median_regret": float(f"{np.median(regrets):.4g}"),
                "mean_regret": float(f"{regrets.mean():.4g}"),
            }
        )
    return rows


def _curve(number: int, table: CurveTable) -> Curve:
    given = np.isfinite(table.costs[number])
    return Curve(
        number=number, costs=table.costs[number][given], steps=np.flatnonzero(given).astype(np.float64) + 1.0
    )


def predicted(table: CurveTable, curves: Sequence[Curve], network: Network) -> dict[int, Outlook]:
    """Return what is predicted of each curve's end, after evenly spaced numbers of reports."""
    longest = max(len(curve.costs) for curve in curves)
    every = max(1, longest // CHECKS)
    checks = [seen for seen in range(1, longest) if seen % every == 0]
    parts: dict[int, list[tuple[int, Prediction]]] = {curve.number: [] for curve in curves}
    for seen in checks:
        there = [curve for curve in curves if len(curve.costs) > seen]
        if not there:
            continue
        values = np.full((len(there), table.values.shape[1]), np.nan)
        for row, curve in enumerate(there):
            steps = curve.steps[:seen].astype(int) - 1
            values[row, steps] = curve.costs[:seen]
        at = np.array([[curve.length] for curve in there])
        bounds = (-1.0, 0.0) if table.rises else None
        found = extrapolate_by(network, values, at=at, mode="min", bounds=bounds)
        for row, curve in enumerate(there):
            parts[curve.number].append((seen, _row(found, row)))
    return {number: _joined(each) for number, each in parts.items()}


def _row(found: Prediction, row: int) -> Prediction:
    return _made(found, *(getattr(found, name)[row] for name in ARRAYS))


def _joined(each: list[tuple[int, Prediction]]) -> Outlook:
    arrays = (np.concatenate([getattr(found, name) for _, found in each]) for name in ARRAYS)
    return Outlook(seen=np.array([seen for seen, _ in each]), end=_made(each[0][1], *arrays))


ARRAYS = ("centre", "unit", "weights", "places", "scales")


def _made(like: Prediction, *arrays: Any) -> Prediction:
    return Prediction(**dict(zip(ARRAYS, arrays, strict=True)), bounds=like.bounds, rises=like.rises)


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return a line a rule and kind of metric: means over data sets, medians of medians."""
    lines = []
    for metric in ("accuracy", "loss"):
        for name in RULES:
            chosen = [row for row in rows if row["rule"] == name and row["metric"] == metric]
            if chosen:
                lines.append(
                    {
                        "rule": name,
                        "metric": metric,
                        "saved": float(np.mean([row["saved"] for row in chosen])),
                        "median_regret": float(max(row["median_regret"] for row in chosen)),
                        "mean_regret": float(np.mean([row["mean_regret"] for row in chosen])),
                    }
                )
    return lines


def show(rows: Sequence[Row], lines: Sequence[Row]) -> None:
    """Print all rules over the data sets of a kind, and the default on each data set."""
    for metric in dict.fromkeys(line["metric"] for line in lines):
        print(f"\n{metric}: means over data sets; the highest of their median regrets\n")
        table = [_cells(line, line["rule"]) for line in lines if line["metric"] == metric]
        print_table(["rule", "saved", "median regret", "mean regret"], table)
    for rule in DEFAULTS:
        print(f"\n{rule}, each data set\n")
        own = [_cells(row, row["data"]) for row in rows if row["rule"] == rule]
        print_table(["data set", "saved", "median regret", "mean regret"], own)


def _cells(line: Row, name: str) -> list[str]:
    return [name, f"{line['saved']:.0%}", f"{line['median_regret']:.2g}", f"{line['mean_regret']:.2g}"]


def broken(lines: Sequence[Row]) -> list[str]:
    """Return which of the claims do not hold."""
    faults = []
    for own in (line for line in lines if line["rule"] in DEFAULTS):
        metric, most = f"{own['rule']}, {own['metric']}", MOST_REGRET[own["metric"]]
        if own["saved"] < 0.5:
            faults.append(f"{metric}: {own['saved']:.0%} of the epochs are saved")
        if own["median_regret"] > most:
            faults.append(f"{metric}: a median regret of {own['median_regret']:.2g}, above {most:g}")
        if own["rule"] == DEFAULTS[0]:
            continue
        faults += [
            f"{metric}: {line['rule']} saves {line['saved']:.0%} at a mean regret of "
            f"{line['mean_regret']:.2g}"
            for line in lines
            if line["metric"] == own["metric"]
            and not line["rule"].startswith(("lightning_tune", "oracle"))
            and line["saved"] >= own["saved"]
            and line["mean_regret"] <= own["mean_regret"]
        ]
    return faults


if __name__ == "__main__":
    main()
