"""A method's rows: one a problem and seed, appended to its CSV as they are measured: a stop loses nothing.

python benchmarks/search_rows.py ax smac    # what their files lack, seed by seed; hours for these two
"""

import argparse
import csv
import itertools
import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from recording import RESULTS, environment  # noqa: E402
from search_peers import PEERS, Peer  # noqa: E402
from search_problems import PROBLEMS, Problem  # noqa: E402
from search_runs import COUNTS, Run  # noqa: E402

FOLDER = RESULTS / "search_quality"
BUDGETS = (30, 100, 200)
SEEDS, SLOW_SEEDS = 10, 5
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


def path_of(name: str) -> Path:
    """Return where the rows of a method are."""
    return FOLDER / f"{name}.csv"


def read_rows(name: str) -> list[Row]:
    """Return the rows of a method, oldest first; none if there is no file."""
    path = path_of(name)
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def append_row(name: str, row: Row) -> None:
    """Add a row at the end of a method's file."""
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def measured(
    method: Callable[[Run, int], None], problem: Problem, seed: int, trials: int, *, told: bool
) -> Row:
    """Run a method on a problem; one that plans for its number of trials has a run a budget.

    The time of a suggestion is that of the longest run.
    """
    row: Row = {"problem": problem.name, "seed": seed, "trials": trials}
    done = 0
    for budget in (b for b in BUDGETS if b <= trials and (told or b == trials)):
        run = Run(problem, seed)
        method(run, budget)
        row |= run.columns(tuple(count for count in COUNTS if done < count <= budget))
        row["ms_per_suggestion"] = f"{run.ms_per_suggestion:.4g}"
        done = budget
    return row


def fill(peer: Peer, problems: Sequence[Problem], seeds: Sequence[int]) -> list[str]:
    """Measure what a peer's file lacks, all problems of a seed before the next; return where it raised."""
    there = {(row["problem"], int(row["seed"])) for row in read_rows(peer.name)}
    where = {name: text for name, text in environment(peer.packages).items() if name in COLUMNS}
    trials = BUDGETS[1] if peer.slow else BUDGETS[-1]
    raised = []
    for seed, problem in itertools.product(seeds, problems):
        if (problem.name, seed) in there:
            continue
        print(f"{peer.name}, seed {seed}, {problem.name}: ", end="", flush=True)
        try:
            row = measured(peer.method, problem, seed, trials, told=peer.told)
        except Exception:  # a library's own; its other rows can still be had
            raised.append(f"{peer.name}, seed {seed}, {problem.name}:\n{traceback.format_exc()}")
            print("raised", flush=True)
        else:
            append_row(peer.name, {**row, **where})
            print(f"{row['ms_per_suggestion']} ms", flush=True)
    return raised


def main() -> None:
    """Measure the peers that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peers", nargs="+", choices=list(PEERS))
    parser.add_argument("--seeds", type=int, help=f"{SEEDS}, or {SLOW_SEEDS} for a slow peer")
    args = parser.parse_args()
    raised = []
    for name in args.peers:
        peer = PEERS[name]
        seeds = args.seeds or (SLOW_SEEDS if peer.slow else SEEDS)
        raised += fill(peer, list(PROBLEMS.values()), range(seeds))
    if raised:
        raise SystemExit("\n".join(raised))


if __name__ == "__main__":
    main()
