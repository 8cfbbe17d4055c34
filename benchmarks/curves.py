"""How well the ends of real curves are foretold after 10, 20, 40 and 80% of each: ours beside four others.

    python benchmarks/curves.py --data FOLDER                  # ours anew, by cross-validation
    python benchmarks/curves.py --data FOLDER --methods all    # the slow ones, too: over an hour
    python benchmarks/curves.py --data FOLDER --json FILE      # new data: with the prior of the package
    python benchmarks/curves.py --data FOLDER --quick          # 30 curves a data set; writes nothing
    python benchmarks/curves.py --recorded                     # the tables from the rows that are there

FOLDER has gzip CSVs, as `scripts/fit_curves.py` reads them. Cross-validation is over data sets: what predicts
a data set never saw a curve of it; a third of the data sets is left out at a time. With `--json` nothing is
fitted and no row is written: that is for data sets that the prior has never seen. Slow methods run on 100
curves a data set, drawn with a seed, and all methods are compared on those. LC-PFN must have been trained
(`curve_lcpfn.py`) to take part.

Three claims, and an exit status that tells when one does not hold: ours is ahead of all others in log density
and in CRPS, 87 to 93% of the ends lie within the 90% intervals, and a curve costs at most 10 ms. What the
columns mean is in `curve_scores.py`.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import curve_rows  # noqa: E402
import numpy as np  # noqa: E402
from curve_cuts import SHARES, cut, joined, score, spread_of  # noqa: E402
from curve_folds import networks  # noqa: E402
from curve_methods import METHODS, SLOW, Method, ours_by  # noqa: E402
from curve_scores import Row, broken, show, summary  # noqa: E402

from lightning_tune.curves.fitting.tables import CurveTable, read_tables  # noqa: E402
from lightning_tune.curves.network import shipped  # noqa: E402

SAMPLE = 100
"""Curves a data set on which all methods are compared."""
QUICK = 30
OURS = ("lightning_tune", "lightning_tune_joint")


def main() -> None:
    """Measure, print the tables, write rows or a summary; fail if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a folder of curves")
    parser.add_argument("--json", type=Path, help="use the prior of the package, and write a summary there")
    parser.add_argument("--methods", nargs="+", choices=["all", *METHODS], help="the fast ones by default")
    parser.add_argument("--quick", action="store_true", help="30 curves a data set; writes nothing")
    parser.add_argument("--recorded", action="store_true", help="measure nothing")
    args = parser.parse_args()
    if not args.recorded and args.data is None:
        parser.error("--data FOLDER is needed (or --recorded)")
    rows = curve_rows.read() if args.recorded else measure(args)
    show(rows)
    if args.json:
        args.json.write_text(json.dumps(summary(rows), indent=2) + "\n", encoding="utf-8")
    faults = [] if args.quick else broken(rows)  # so few curves do not tell
    if faults:
        raise SystemExit("does not hold:\n" + "\n".join(faults))


def measure(args: argparse.Namespace) -> list[Row]:
    """Return the rows of the methods that are asked for, beside those that were recorded of the others."""
    tables = read_tables(args.data)
    names = [name for name in METHODS if name not in SLOW] if args.methods is None else args.methods
    names = list(METHODS) if names == ["all"] else names
    nets = [shipped()] * len(tables)
    if args.json is None and set(names) & set(OURS):
        nets = networks(args.data, tables)
    keeps = not (args.quick or args.json)
    found: list[Row] = []
    for name in names:
        rows = []
        for table, network in zip(tables, nets, strict=True):
            method = ours_by(network, joint=name.endswith("joint")) if name in OURS else METHODS[name]()
            rows += measured(name, method, table, QUICK if args.quick else None)
        found += rows
        if keeps:
            curve_rows.write(name, rows)
    return curve_rows.read() if keeps else found


def measured(name: str, method: Method, table: CurveTable, most: int | None) -> list[Row]:
    """Return a row a share of the curves that are observed: of a sample, and of all by a fast method."""
    rows = []
    spread = spread_of(table)
    for share in SHARES:
        whole = cut(table, share)
        order = np.random.default_rng(0).permutation(len(whole.at))
        samples = {"sample": np.sort(order[: most or SAMPLE])}
        if name not in SLOW and most is None:
            samples["all"] = np.arange(len(whole.at))
        for which, chosen in samples.items():
            began, scores = time.process_time(), []
            for batch in whole.part(chosen).batches():
                scores.append((method(batch), batch.truth))
            seconds = time.process_time() - began
            found = joined([score(said, truth, spread) for said, truth in scores])
            rows.append(found.row(name, table.name, share, which, 1e3 * seconds / len(chosen)))
            print(f"{name}: {table.name}, {share:.0%} of {len(chosen)} curves", flush=True)
    return rows


if __name__ == "__main__":
    main()
