"""A method's rows: one a problem and seed, appended to its CSV as they are measured: a stop loses nothing.

python benchmarks/search_rows.py ax smac    # what their files lack, seed by seed; hours for these two
"""

import argparse
import csv
import multiprocessing
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from recording import RESULTS, environment  # noqa: E402
from search_ours import OURS  # noqa: E402
from search_peers import PEERS  # noqa: E402
from search_problems import PROBLEMS  # noqa: E402
from search_runs import COUNTS, Method  # noqa: E402

FOLDER = RESULTS / "search_quality"
METHODS = OURS | PEERS
COLUMNS = (
    "problem",
    "seed",
    "trials",
    *(f"best_{count}" for count in COUNTS),
    "ms_per_suggestion",
    "date",
    "device",
    "versions",
)
Row = dict[str, Any]
Place = tuple[str, int]
"""A problem's name and a seed."""


def read_rows(name: str) -> list[Row]:
    """Return the rows of a method, oldest first; none if there is no file."""
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def append_row(name: str, row: Row) -> None:
    """Add a row at the end of a method's file."""
    path = FOLDER / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def fill(
    method: Method, seeds: int | None = None, processes: int = 1, problems: Sequence[str] = tuple(PROBLEMS)
) -> list[str]:
    """Measure what a method's file lacks, all problems of a seed before the next; return where it raised."""
    there = {(row["problem"], int(row["seed"])) for row in read_rows(method.name)}
    wanted = [(problem, seed) for seed in range(seeds or method.seeds) for problem in problems]
    where = {name: text for name, text in environment(method.packages).items() if name in COLUMNS}
    raised = []
    missing = [place for place in wanted if place not in there]
    for row in measured(method, missing, method.budgets, processes):
        if "raised" in row:
            raised.append(row["raised"])
        else:
            append_row(method.name, {**row, **where})
        print(f"{method.name}: {list(row.values())[0]}, seed {row['seed']}", flush=True)
    return raised


def measured(
    method: Method, places: Sequence[Place], budgets: tuple[int, ...], processes: int = 1
) -> Iterator[Row]:
    """Yield a row a place as they come; of a run that raised, the traceback under "raised"."""
    if processes == 1:
        yield from (_measured(method.name, place, budgets) for place in places)
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        futures: list[Future[Row]] = [pool.submit(_measured, method.name, place, budgets) for place in places]
        yield from (future.result() for future in as_completed(futures))


def _measured(name: str, place: Place, budgets: tuple[int, ...]) -> Row:
    problem, seed = place
    try:
        return METHODS[name].measure(PROBLEMS[problem], seed, budgets)
    except Exception:  # a library's own; its other rows can still be had
        return {"problem": problem, "seed": seed, "raised": f"{name}, {place}:\n{traceback.format_exc()}"}


def fix_hashes() -> None:
    """Begin this process anew with a fixed order of sets: SMAC's proposals depend on it, seed or not."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONHASHSEED": "0"})


def main() -> None:
    """Measure the methods that are named."""
    fix_hashes()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("methods", nargs="+", choices=list(METHODS))
    parser.add_argument("--seeds", type=int, help="each method has its own number: 10, or 5")
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--processes", type=int, default=1, help="runs at the same time (1)")
    args = parser.parse_args()
    raised = []
    for name in args.methods:
        raised += fill(METHODS[name], args.seeds, args.processes, args.problems)
    if raised:
        raise SystemExit("\n".join(raised))


if __name__ == "__main__":
    main()
