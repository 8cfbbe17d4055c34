"""How low searchers get in 30, 100 and 200 trials: ours by default beside seven others, on fourteen problems.

    python benchmarks/search_quality.py              # ours anew, about an hour; the others from their rows
    python benchmarks/search_quality.py --quick      # three minutes: four problems; writes nothing
    python benchmarks/search_quality.py --recorded   # table and figure from the rows that are there
    python benchmarks/search_quality.py --peers all  # what is missing of the others' rows, too: hours
    python benchmarks/search_quality.py --workers 8  # ours on so many simulated asynchronous workers

Two claims, and an exit status that tells when one does not hold: ours by default has the best mean rank at
each budget, and on Hartmann-6 a median regret below 0.001 after 100 trials. With `--workers`: a mean regret
within 1.3 times that of one at a time. What the columns mean is in `search_scores.py`.
"""

import argparse
import os
from collections.abc import Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import search_asynchronous  # noqa: E402
import search_report  # noqa: E402
from recording import RESULTS, environment, write_csv  # noqa: E402
from search_figure import draw  # noqa: E402
from search_ours import DEFAULT, OURS, PACKAGES  # noqa: E402
from search_peers import PEERS  # noqa: E402
from search_problems import PROBLEMS  # noqa: E402
from search_rows import FOLDER, METHODS, Row, fill, fix_hashes, measured, read_rows  # noqa: E402
from search_runs import BUDGETS, COUNTS  # noqa: E402
from search_scores import compared, regrets_of  # noqa: E402

QUICK = ("branin", "hartmann6", "mixed", "log_goldstein_price")  # these need no scikit-learn


def main() -> None:
    """Measure, print the tables, write the CSVs and the figure; fail if a claim does not hold."""
    fix_hashes()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="four problems, three seeds, 100 trials; no CSV")
    parser.add_argument("--recorded", action="store_true", help="measure nothing")
    parser.add_argument("--go-on", action="store_true", help="keep the rows of ours that are there")
    parser.add_argument("--peers", nargs="+", default=[], choices=["all", *PEERS], help="complete their rows")
    parser.add_argument("--workers", type=int, help="compare so many simulated workers with one, only that")
    parser.add_argument("--processes", type=int, default=2, help="runs at the same time (2)")
    args = parser.parse_args()
    if args.workers:
        broken = search_asynchronous.compare(args.workers, QUICK if args.quick else tuple(PROBLEMS), args)
    elif args.quick:
        quick(args.processes)
        broken = []
    else:
        broken = full(args)
    if broken:
        raise SystemExit("does not hold:\n" + "\n".join(broken))


def quick(processes: int) -> None:
    """Measure ours by default on a few problems, and print it beside the same rows of the others."""
    places = [(name, seed) for seed in range(3) for name in QUICK]
    ours = list(measured(OURS[DEFAULT], places, BUDGETS[:2], processes))
    rows = {
        DEFAULT: ours,
        **{name: [row for row in read_rows(name) if _among(row, places)] for name in PEERS},
    }
    search_report.show(regrets_of(rows, COUNTS), rows, QUICK, BUDGETS[:2], list(rows))


def full(args: argparse.Namespace) -> list[str]:
    """Complete the rows, then print and write everything; return what does not hold."""
    if not args.recorded:
        _measure(args)
    rows = {name: found for name in METHODS if (found := read_rows(name))}
    regrets = regrets_of(rows, COUNTS)
    if not compared(regrets, BUDGETS[-1], tuple(PROBLEMS), [DEFAULT]):
        raise SystemExit(f"{DEFAULT}.csv lacks some problems: run without --recorded, or with --go-on")
    main_ones = [name for name in (DEFAULT, *PEERS) if name in rows]
    lines = search_report.show(regrets, rows, tuple(PROBLEMS), BUDGETS, main_ones)
    search_report.show_named(regrets, rows, main_ones)
    where = environment(PACKAGES)
    write_csv(RESULTS / "search_quality.csv", [{**line, **where} for line in lines])
    draw(RESULTS / "search_quality.png", regrets, main_ones)
    return search_report.broken(lines, BUDGETS)


def _measure(args: argparse.Namespace) -> None:
    raised = []
    for name in OURS:
        if not args.go_on:
            (FOLDER / f"{name}.csv").unlink(missing_ok=True)
        raised += fill(OURS[name], processes=args.processes)
    for name in PEERS if "all" in args.peers else args.peers:
        raised += fill(PEERS[name], processes=args.processes)
    if raised:
        raise SystemExit("\n".join(raised))


def _among(row: Row, places: Sequence[tuple[str, int]]) -> bool:
    return (row["problem"], int(row["seed"])) in places


if __name__ == "__main__":
    main()
