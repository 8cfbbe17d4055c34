"""Milliseconds a suggestion after 10, 100, 1,000 and 10,000 trials, in 6 and 20 dimensions.

    python benchmarks/search_latency.py          # about half an hour; writes results/search_latency.csv
    python benchmarks/search_latency.py --quick  # ours alone, up to 1,000 trials: a minute; writes nothing

Each cell is a process of its own, which tells the library of random trials, asks once to warm up, and then
times rounds of a suggestion and its telling in seconds of CPU (one thread), until there are 16 of them or
one takes too long. The mean over the rounds is what a trial costs, since some libraries fit their
model once in several. Where a library took over a second at a tenth of the trials it is not asked; where
no round ended within a minute, the cell says so.

Two claims, and an exit status that tells when one does not hold: after 100 trials our Bayesian search is not
slower than Optuna's Gaussian process, and after 1,000 our TPE and genetic search take under 5 ms.
"""

import argparse
import csv
import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeAlias, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")

import psutil  # type: ignore[import-untyped]  # noqa: E402
from recording import RESULTS, environment, print_table, write_csv  # noqa: E402
from search_feeding import FEEDINGS, Past  # noqa: E402
from search_ours import DEFAULT, PACKAGES  # noqa: E402
from search_peers import PEERS, quietly  # noqa: E402
from search_problems import HARTMANN6, HARTMANN6_OF_20  # noqa: E402

TRIALS = (10, 100, 1_000, 10_000)
ROUNDS = 16
TELLING_S = 120  # for telling of the past
TOO_SLOW_MS = 1_000.0
MOST_MS = 5.0
Row = dict[str, Any]
Round: TypeAlias = tuple[float, float]
"""Seconds of CPU, and on the clock."""


def main() -> None:
    """Measure, print the table, write the CSV; fail if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ours alone, up to 1,000 trials; no CSV")
    parser.add_argument(
        "--methods", nargs="+", choices=list(FEEDINGS), help="only these; replaces their rows"
    )
    parser.add_argument("--seconds", type=float, default=60, help="of CPU until the next round (60)")
    args = parser.parse_args()
    methods = args.methods or [name for name in FEEDINGS if not (args.quick and name in PEERS)]
    counts = TRIALS[:-1] if args.quick else TRIALS
    rows = [
        row for problem in (6, 20) for name in methods for row in line_of(name, problem, counts, args.seconds)
    ]
    show(rows, methods)
    if not args.quick:
        packages = dict.fromkeys([*PACKAGES, *(one for peer in PEERS.values() for one in peer.packages)])
        where = {**environment(list(packages)), "load_5_min": f"{os.getloadavg()[1]:.2f}"}
        write(RESULTS / "search_latency.csv", [{**row, **where} for row in rows])
    if faults := broken(rows):
        raise SystemExit("does not hold:\n" + "\n".join(faults))


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows in the place of those of the same methods; rows of other methods stay as they are."""
    new = {(row["method"], str(row["dimensions"]), str(row["trials"])): row for row in rows}
    names = {row["method"] for row in rows}
    old = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            old = list(csv.DictReader(file))
    kept = [new.pop((row["method"], row["dimensions"], row["trials"]), row) for row in old]
    kept = [row for row in kept if row["method"] not in names or row in rows]
    write_csv(path, [*kept, *new.values()])


def line_of(name: str, dimensions: int, counts: Sequence[int], seconds: float) -> list[Row]:
    """Measure a method after each number of trials, up to where it is too slow."""
    rows: list[Row] = []
    for trials in counts:
        if rows and (not rows[-1]["ms"] or float(rows[-1]["ms"]) > TOO_SLOW_MS):
            note, rounds = "not asked", list[Round]()
        else:
            note, rounds = in_process(name, dimensions, trials, seconds)
        rows.append(row_of(name, dimensions, trials, rounds, note))
        print(f"{name}, {dimensions} dimensions, {trials} trials: {rows[-1]['ms'] or note}", flush=True)
    return rows


def in_process(name: str, dimensions: int, trials: int, seconds: float) -> tuple[str, list[Round]]:
    """Measure a cell; return what to say if no round ended, and each that did."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=cell, args=(sender, name, dimensions, trials))
    process.start()
    sender.close()
    rounds: list[Round] = []
    while (found := _received(receiver, process, seconds if rounds else TELLING_S)) is not None:
        if isinstance(found, str):
            print(found, flush=True)
            return "raised", []
        rounds.append(found)
    process.kill()
    process.join()
    return (f"over {seconds:g} s" if rounds else f"told in over {TELLING_S} s"), rounds[2:]


def _received(receiver: Connection, process: BaseProcess, seconds: float) -> Round | str | None:
    """Return what a process sends before it has used so many more seconds of CPU; None where it does not."""
    running = psutil.Process(process.pid)
    began = sum(running.cpu_times()[:2])
    while not receiver.poll(0.2):
        if sum(running.cpu_times()[:2]) - began > seconds:
            return None
    try:
        return cast(Round | str, receiver.recv())
    except EOFError:
        return None


def cell(sender: Connection, name: str, dimensions: int, trials: int) -> None:
    """Send the seconds of telling of the past, of a first round (imports), then of those that count."""
    past = Past.of(HARTMANN6 if dimensions == 6 else HARTMANN6_OF_20, trials)
    try:
        with quietly():
            rounds = FEEDINGS[name](past)
            for _ in range(2 + ROUNDS):
                sender.send(timed(rounds))
    except Exception:
        sender.send(traceback.format_exc())


def timed(rounds: Iterator[None]) -> Round:
    """Return the seconds of CPU, and on the clock, of the next round."""
    cpu, wall = time.process_time(), time.perf_counter()
    next(rounds)
    return time.process_time() - cpu, time.perf_counter() - wall


def row_of(name: str, dimensions: int, trials: int, rounds: Sequence[Round], note: str) -> Row:
    """Return a row of the CSV."""
    cpu = [1e3 * one for one, _ in rounds]
    wall = [1e3 * one for _, one in rounds]
    return {
        "method": name,
        "dimensions": dimensions,
        "trials": trials,
        "rounds": len(rounds),
        "ms": f"{statistics.fmean(cpu):.4g}" if cpu else "",
        "median_ms": f"{statistics.median(cpu):.4g}" if cpu else "",
        "max_ms": f"{max(cpu):.4g}" if cpu else "",
        "wall_ms": f"{statistics.fmean(wall):.4g}" if wall else "",
        "note": "" if cpu else note,
    }


def show(rows: Sequence[Row], methods: Sequence[str]) -> None:
    """Print a row a method, a column a number of dimensions and trials."""
    columns = list(dict.fromkeys((row["dimensions"], row["trials"]) for row in rows))
    cells = {(row["method"], row["dimensions"], row["trials"]): row["ms"] or row["note"] for row in rows}
    print("\nmilliseconds of CPU a suggestion: dimensions and trials\n")
    print_table(
        ["method", *(f"{dimensions}d, {trials:,}" for dimensions, trials in columns)],
        [[name, *(cells[name, *column] for column in columns)] for name in methods],
    )
    print(flush=True)


def broken(rows: Sequence[Row]) -> list[str]:
    """Return which claims do not hold, of those about methods that were measured."""
    ms = {(row["method"], row["dimensions"], row["trials"]): float(row["ms"] or "inf") for row in rows}
    faults = []
    for (name, dimensions, trials), own in ms.items():
        peer = ms.get(("optuna_gp", dimensions, trials), float("inf"))
        if name == f"{DEFAULT}_bayesian" and trials == 100 and own > peer:
            faults.append(f"{dimensions} dimensions: Bayesian takes {own:g} ms, Optuna's GP {peer:g} ms")
        if name in (f"{DEFAULT}_tpe", f"{DEFAULT}_genetic") and trials == 1_000 and own >= MOST_MS:
            faults.append(f"{dimensions} dimensions: {name} takes {own:g} ms after 1,000 trials")
    return faults


if __name__ == "__main__":
    main()
