"""What a sweep costs beside the training: 16 trials x 27 epochs by hand, by TuneLoop and by its peers.

Claim: TuneLoop inline takes at most 1.10 times as long as bare Trainers in a loop, with equal configurations,
seeds and loggers, and gives the same per-epoch validation losses bit for bit. Every method runs in pairs
with a bare run, whole sweeps in alternating order; "trial by trial" alternates within a sweep, which other
work disturbs least. A ratio is the median over the pairs. No method prunes.

    python benchmarks/overhead.py            # the full run, under ten minutes; writes results/overhead.csv
    python benchmarks/overhead.py --quick    # a minute or two, writes nothing
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import sweepers  # noqa: E402
from digits import quiet  # noqa: E402
from recording import RESULTS, environment, median_with_interval, print_table, write_csv  # noqa: E402

Method = Callable[[Path, int, int], sweepers.Losses]
PACKAGES = ["lightning-tuneloop", "torch", "lightning", "SQLAlchemy", "optuna", "optuna-integration", "ray"]


@dataclass
class Measured:
    """A method, and its pairs with bare runs: seconds of both, and whether the losses were the same."""

    name: str
    method: Method | None
    pairs: int
    saves: str
    bare_s: list[float] = field(default_factory=list)
    own_s: list[float] = field(default_factory=list)
    same: bool = True

    def measure(self, turn: int, trials: int, epochs: int) -> None:
        """Run one pair: whole sweeps in alternating order, or (without a method) trial by trial."""
        if self.method is None:
            with tempfile.TemporaryDirectory() as folder:
                bare_s, own_s, same = sweepers.ours_trial_by_trial(Path(folder), trials, epochs)
        elif turn % 2:
            bare_s, expected = timed(sweepers.bare, trials, epochs)
            own_s, found = timed(self.method, trials, epochs)
            same = found == expected
        else:
            own_s, found = timed(self.method, trials, epochs)
            bare_s, expected = timed(sweepers.bare, trials, epochs)
            same = found == expected
        self.bare_s.append(bare_s)
        self.own_s.append(own_s)
        self.same &= same
        print(f"pair {turn + 1}: {self.name} {own_s:.2f} s, bare {bare_s:.2f} s", flush=True)

    def row(self, trials: int, epochs: int) -> dict[str, Any]:
        """Return what was measured, as a row of the CSV."""
        ratios = [own / bare for own, bare in zip(self.own_s, self.bare_s, strict=True)]
        ratio, low, high = median_with_interval(ratios)
        return {
            "method": self.name,
            "trials": trials,
            "epochs": epochs,
            "pairs": len(ratios),
            "seconds": round(statistics.median(self.own_s), 4),
            "seconds_min": round(min(self.own_s), 4),
            "seconds_max": round(max(self.own_s), 4),
            "bare_seconds": round(statistics.median(self.bare_s), 4),
            "ms_per_epoch": round(1e3 * statistics.median(self.own_s) / trials / epochs, 3),
            "bare_ms_per_epoch": round(1e3 * statistics.median(self.bare_s) / trials / epochs, 3),
            "ratio": round(ratio, 4),
            "ratio_low": round(low, 4),
            "ratio_high": round(high, 4),
            "same_losses": self.same,
            "weights_saved": self.saves,
            "logger": "CSVLogger",
        }


def timed(method: Method, trials: int, epochs: int) -> tuple[float, sweepers.Losses]:
    """Run a method in an empty folder and return its seconds and its losses."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        found = method(Path(folder), trials, epochs)
        return time.perf_counter() - began, found


def plan(pairs: int, *, peers: bool) -> list[Measured]:
    """Return what is to be measured, each with its number of pairs."""
    once = "best epoch, written once a trial"
    methods = [
        Measured("TuneLoop, trial by trial", None, pairs, once),
        Measured("TuneLoop", sweepers.ours, pairs, once),
        Measured(
            "bare + ModelCheckpoint", sweepers.bare_saving, min(pairs, 3), "best epoch, at each improvement"
        ),
    ]
    if peers:
        methods += [
            Measured("Optuna", sweepers.optuna, min(pairs, 3), "none"),
            Measured("Ray Tune", sweepers.ray_tune, 1, "none"),
        ]
    return methods


def main() -> None:
    """Measure, print one table, write one CSV; fail if our losses are not the bare loop's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="4 trials, 3 pairs, no CSV")
    parser.add_argument("--no-peers", action="store_true", help="without Optuna and Ray; no CSV")
    parser.add_argument("--pairs", type=int, help="pairs of bare and ours (7; --quick: 3)")
    args = parser.parse_args()
    trials, epochs = (4 if args.quick else 16), 27
    os.environ["LIGHTNING_TUNE_SCREEN"] = "plain"
    quiet()
    methods = plan(args.pairs or (3 if args.quick else 7), peers=not args.no_peers)
    if not args.no_peers:
        sweepers.start_ray()
    timed(sweepers.bare, 2, epochs)  # imports and first calls belong to nobody
    timed(sweepers.ours, 2, epochs)
    for turn in range(max(method.pairs for method in methods)):
        for method in methods:
            if turn < method.pairs:
                method.measure(turn, trials, epochs)
    report(methods, trials, epochs, write=not (args.quick or args.no_peers))


def report(methods: list[Measured], trials: int, epochs: int, *, write: bool) -> None:
    """Print the table and write the CSV."""
    where = environment(PACKAGES)
    rows = [method.row(trials, epochs) for method in methods]
    print(
        f"\n{trials} trials x {epochs} epochs; a CSVLogger everywhere; {where['device']}; {where['commit']}\n"
    )
    header = [
        "method",
        "pairs",
        "seconds",
        "ms/epoch",
        "bare ms/epoch",
        "ratio",
        "95% interval",
        "same losses",
    ]
    print_table(
        [*header, "weights saved"],
        [
            [
                row["method"],
                str(row["pairs"]),
                f"{row['seconds']:.2f}",
                f"{row['ms_per_epoch']:.1f}",
                f"{row['bare_ms_per_epoch']:.1f}",
                f"{row['ratio']:.3f}",
                f"{row['ratio_low']:.3f} to {row['ratio_high']:.3f}" if row["pairs"] > 1 else "",
                "yes" if row["same_losses"] else "no",
                row["weights_saved"],
            ]
            for row in rows
        ],
    )
    if write:
        write_csv(RESULTS / "overhead.csv", [{**row, **where} for row in rows])
        print(f"\nwritten to {RESULTS / 'overhead.csv'}")
    if not all(method.same for method in methods if method.name.startswith("TuneLoop")):
        raise SystemExit("TuneLoop's validation losses differ from those of the bare loop.")


if __name__ == "__main__":
    main()
