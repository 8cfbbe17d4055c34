"""Fit the prior of `lightning_tune.curves` to published curves.

    python scripts/fit_curves.py FOLDER             # writes lightning_tune/curves/prior.npz; some ten minutes

FOLDER has gzip CSVs, a data set each: columns y1, y2, ... are a curve, the others hyperparameters.
"""

import argparse
from pathlib import Path

import torch

from lightning_tune.curves.bank import bank
from lightning_tune.curves.fitting.tables import read_tables
from lightning_tune.curves.fitting.training import fit
from lightning_tune.curves.network import FILE, save


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without", nargs="*", default=[], help="names of data sets to leave out")
    parser.add_argument("--to", type=Path, default=FILE)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the network is small: more threads wait for each other, and round otherwise
    tables = [table for table in read_tables(args.folder) if table.name not in args.without]
    print(
        f"{len(tables)} data sets, {sum(len(table.values) for table in tables)} curves, {len(bank())} shapes"
    )
    save(fit([table.costs for table in tables]), args.to)
    print(f"wrote {args.to}, {args.to.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
