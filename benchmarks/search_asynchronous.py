"""Ours on simulated asynchronous workers beside the same search one trial at a time, at equal trials.

One at a time is what the rows of ours hold; the short version, which is to tell what a change does, measures
both.
"""

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from recording import RESULTS, environment, print_table, write_csv
from search_ours import DEFAULT, PACKAGES, by_workers
from search_problems import PROBLEMS
from search_rows import METHODS, read_rows
from search_runs import Run
from search_scores import LEAST, Array, optima, ratio_of_means

TRIALS = 100
MOST_RATIO = 1.3
Task = tuple[str, int, int]
"""A problem, a seed and a number of workers."""


def compare(workers: int, problems: Sequence[str], args: argparse.Namespace) -> list[str]:
    """Measure, print a table, write it unless this is the short version; return what does not hold."""
    seeds = range(3 if args.quick else 10)
    values = {} if args.quick else _recorded()
    tasks = [(name, seed, count) for seed in seeds for name in problems for count in (1, workers)]
    if lacking := [task for task in tasks if task[2] == 1 and task not in values and not args.quick]:
        raise SystemExit(f"{DEFAULT}.csv lacks {lacking[0][:2]}: run search_quality.py --go-on first")
    tasks = [task for task in tasks if task not in values]
    with ProcessPoolExecutor(args.processes, multiprocessing.get_context("spawn")) as pool:
        values |= dict(zip(tasks, pool.map(incumbent, tasks), strict=True))
    regrets = _regrets(values)
    lines = [_line(name, [name], regrets, workers) for name in problems]
    lines.append(_line("mean of all", problems, regrets, workers))
    _print(lines, workers)
    if args.quick:
        return []
    where = environment(PACKAGES)
    write_csv(RESULTS / "search_workers.csv", [{**line, **where} for line in lines])
    ratio = lines[-1]["ratio"]
    return [f"{workers} workers: {ratio:g} times the regret of one"] if ratio > MOST_RATIO else []


def _recorded() -> dict[Task, float]:
    """Return what the rows of ours say of one trial at a time."""
    return {(row["problem"], int(row["seed"]), 1): float(row[f"best_{TRIALS}"]) for row in read_rows(DEFAULT)}


def incumbent(task: Task) -> float:
    """Return the value, without noise, of what a run found."""
    name, seed, workers = task
    run = Run(PROBLEMS[name], seed)
    by_workers(workers, run, TRIALS)
    return run.incumbent(TRIALS)


def _regrets(values: dict[Task, float]) -> dict[tuple[str, int], Array]:
    """Return the normalised regrets of each (problem, workers), a number a seed."""
    least = optima({name: read_rows(name) for name in METHODS})
    for (name, _, _), value in values.items():
        least[name] = min(least[name], value)
    groups: dict[tuple[str, int], list[float]] = {}
    for (name, _, workers), value in values.items():
        regret = max(LEAST, PROBLEMS[name].normalised(value, least[name]))
        groups.setdefault((name, workers), []).append(regret)
    return {key: np.array(group) for key, group in groups.items()}


def _line(
    title: str, problems: Sequence[str], regrets: dict[tuple[str, int], Array], workers: int
) -> dict[str, Any]:
    """Return a row: mean regrets over problems and seeds, and their ratio with its interval."""
    alone, together = ([regrets[name, count] for name in problems] for count in (1, workers))
    ratio, low, high = ratio_of_means(together, alone)
    return {
        "problem": title,
        "workers": workers,
        "trials": TRIALS,
        "seeds": len(alone[0]),
        "one": _short(np.mean(alone)),
        "several": _short(np.mean(together)),
        "ratio": _short(ratio),
        "low": _short(low),
        "high": _short(high),
    }


def _short(value: Any) -> float:
    return float(f"{value:.4g}")


def _print(lines: Sequence[dict[str, Any]], workers: int) -> None:
    print(f"mean normalised regret after {TRIALS} trials, {lines[0]['seeds']} seeds\n")
    print_table(
        ["problem", "one worker", f"{workers} workers", "ratio", "90% interval"],
        [
            [line["problem"], *(f"{line[column]:g}" for column in ("one", "several", "ratio"))]
            + [f"{line['low']:g} to {line['high']:g}"]
            for line in lines
        ],
    )
    print(flush=True)
