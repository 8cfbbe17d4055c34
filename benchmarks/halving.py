"""Epochs, time and scores of Hyperband, synchronous halving and ASHA, beside Optuna's and Ray Tune's.

    python benchmarks/halving.py            # the full run, about 12 minutes; writes results/halving*.csv
    python benchmarks/halving.py --quick    # two minutes: one seed, 9 epochs; writes nothing

Three claims, and an exit status that tells when one does not hold:

1. Ours trains exactly the epochs that its own recorded decisions need (`counting.epochs_needed`), none of
   them twice, and every epoch of a trial that was paused gives the score, bit for bit, that it gives under
   any other of our schedules.
2. A pause with its resume takes at most as long as starting a bare Trainer on the same module, and 15 ms.
3. A whole Hyperband sweep of a model whose epoch takes about a quarter of a second stays within 1.15 times
   the seconds per epoch of bare Trainers.
"""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import pausing  # noqa: E402
import sweepers  # noqa: E402
from comparing import compare, warm_up  # noqa: E402
from digits import quiet  # noqa: E402
from recording import RESULTS, environment, median_with_interval, print_table, write_csv  # noqa: E402
from tasks import DIGITS, TUMOURS  # noqa: E402

PACKAGES = ["lightning-tuneloop", "torch", "lightning", "SQLAlchemy", "optuna", "optuna-integration", "ray"]
MOST_MS, MOST_RATIO = 15.0, 1.15


def main() -> None:
    """Measure, print the tables, write the CSVs; fail if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed, 9 epochs, no CSV")
    parser.add_argument("--no-peers", action="store_true", help="without Optuna and Ray; no CSV")
    parser.add_argument("--seeds", type=int, help="sweeps of each method and task (5; --quick: 1); no CSV")
    parser.add_argument("--only", choices=["scores", "pauses"], help="claim 1 alone, or claims 2 and 3")
    args = parser.parse_args()
    os.environ["LIGHTNING_TUNE_SCREEN"] = "plain"
    quiet()
    broken: list[str] = []
    if args.only != "scores":
        faults, rows = costs(2, 9) if args.quick else costs(8, 27)
        broken += faults
        record("halving_costs", rows, write=not args.quick)
    if args.only != "pauses":
        epochs, seeds = (9, 1) if args.quick else (27, 5)
        faults, rows = scores(epochs, args.seeds or seeds, peers=not args.no_peers)
        broken += faults
        record("halving", rows, write=not (args.quick or args.no_peers or args.seeds))
    if broken:
        raise SystemExit("does not hold:\n" + "\n".join(broken))


def scores(epochs: int, seeds: int, *, peers: bool) -> tuple[list[str], list[dict[str, Any]]]:
    """Compare the methods on both tasks; return what does not hold, and the rows."""
    if peers:
        sweepers.start_ray()
    warm_up(peers=peers)
    broken, compared = [], []
    for task in (DIGITS, TUMOURS):
        faults, rows = compare(task, range(seeds), epochs, peers=peers)
        broken += faults
        compared += rows
    return broken, compared


def record(name: str, rows: Sequence[dict[str, Any]], *, write: bool) -> None:
    """Say what was measured on what, and write it down; the load tells how quiet the machine was."""
    where = {**environment(PACKAGES), "load_5_min": f"{os.getloadavg()[1]:.2f}"}
    print(f"{where['device']}, load {where['load_5_min']}; {where['commit']}\n", flush=True)
    if write:
        write_csv(RESULTS / f"{name}.csv", [{**row, **where} for row in rows])


def costs(trials: int, epochs: int) -> tuple[list[str], list[dict[str, Any]]]:
    """Measure what pausing costs and print a table; return what does not hold, and the rows."""
    with _folder() as folder:
        pauses = pausing.measure_pauses(folder, trials, 27)
    with _folder() as folder:
        blocks = pausing.measure_sweep(folder, epochs)
    rows = [
        *_pause_rows(pauses, 0, "ms", MOST_MS),
        *_pause_rows(pauses, 1, "ms of CPU", None),
        *_sweep_rows(blocks, 0, "ms", MOST_RATIO),
        *_sweep_rows(blocks, 1, "ms of CPU", None),
    ]
    columns = ["measure", "unit", "samples", "value", "low", "high", "at_most"]
    print_table(columns, [[str(line[column]) for column in columns] for line in rows])
    print(flush=True)
    broken = [line for line in rows if line["at_most"] and float(line["value"]) > float(line["at_most"])]
    return [f"{line['measure']}: {line['value']} {line['unit']}" for line in broken], rows


def _pause_rows(
    pauses: Sequence[pausing.Pause], clock: int, unit: str, most: float | None
) -> list[dict[str, Any]]:
    """Return what one clock says of the pauses."""
    own = [1e3 * pause.own[clock] for pause in pauses]
    bare = [1e3 * pause.bare[clock] for pause in pauses]
    beyond = [one - other for one, other in zip(own, bare, strict=True)]
    return [
        _measure("a pause with its resume", unit, own),
        _measure("the start of a bare Trainer", unit, bare),
        _measure("... without its sanity check", unit, [1e3 * pause.unchecked[clock] for pause in pauses]),
        _measure("a pause beyond a start", unit, beyond, most),
    ]


def _sweep_rows(
    blocks: Sequence[pausing.Block], clock: int, unit: str, most: float | None
) -> list[dict[str, Any]]:
    """Return what one clock says of the CNN's sweep."""
    bare = [1e3 * block.bare[clock] / block.bare_epochs for block in blocks]
    own = [1e3 * block.own[clock] / block.own_epochs for block in blocks]
    trained = sum(block.own_epochs for block in blocks)
    return [
        _measure("an epoch of the CNN, bare", unit, bare),
        _measure("an epoch of the CNN, sweep", unit, own),
        _row(
            "whole sweep over bare",
            f"ratio of {unit}",
            trained,
            pausing.ratio_with_interval(blocks, clock),
            most,
        ),
    ]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make an empty folder, in which the screen of a sweep is kept off the terminal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "screen.txt").open("w") as screen, contextlib.redirect_stdout(screen):
            yield folder


def _measure(name: str, unit: str, values: Sequence[float], most: float | None = None) -> dict[str, Any]:
    """Return a row with the median of some values."""
    return _row(name, unit, len(values), median_with_interval(values), most)


def _row(
    name: str, unit: str, samples: int, value: tuple[float, float, float], most: float | None
) -> dict[str, Any]:
    """Return a row: a value with its 95% interval, and what was claimed."""
    figures = {
        column: f"{figure:.4g}" for column, figure in zip(("value", "low", "high"), value, strict=True)
    }
    at_most = "" if most is None else f"{most:g}"
    return {"measure": name, "unit": unit, "samples": samples, **figures, "at_most": at_most}


if __name__ == "__main__":
    main()
