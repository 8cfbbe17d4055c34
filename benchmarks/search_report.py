"""What `search_quality.py` prints and writes: regrets and ranks at each budget, and which claims hold."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from recording import median_with_interval, print_table
from search_ours import DEFAULT
from search_problems import PROBLEMS
from search_scores import (
    Interval,
    Regrets,
    Row,
    common,
    compared,
    mean_ranks,
    mean_with_interval,
    ranks,
)

Line = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]
MOST_HARTMANN6 = 1e-3


def show(
    regrets: Regrets, rows: Rows, problems: Sequence[str], budgets: Sequence[int], methods: Sequence[str]
) -> list[Line]:
    """Print a table a budget and the line about Hartmann-6; return all that they say, as lines of a CSV."""
    lines: list[Line] = []
    for budget in budgets:
        there = compared(regrets, budget, problems, methods)
        for missing in (name for name in methods if name not in there):
            print(f"{missing} has no rows for all of these problems after {budget} trials")
        lines += (told := _budget(regrets, problems, budget, there))
        print(f"\nnormalised regret after {budget} trials: mean over seeds (90% interval)\n")
        _print(told, [*problems, *_groups(problems)], there)
    lines += _hartmann6(rows, methods)
    lines += _latency(rows, methods)
    return lines


def show_named(regrets: Regrets, rows: Rows, methods: Sequence[str]) -> None:
    """Print where each of our searchers would stand among the others in the default's place."""
    others = [name for name in methods if name != DEFAULT]
    named = [name for name in rows if name.startswith(DEFAULT)]
    table = []
    for name in named:
        cells = [name]
        for budget in (30, 100, 200):
            there = compared(regrets, budget, tuple(PROBLEMS), [name, *others])
            tables = [common(regrets, budget, problem, there) for problem in PROBLEMS]
            cells.append(_text(mean_ranks(tables)[0]) if name in there else "")
        table.append([*cells, _ms(rows[name])])
    print("\nmean rank of each of our searchers among the others, in the place of the default\n")
    print_table(["searcher", "30 trials", "100 trials", "200 trials", "ms/suggestion"], table)


def broken(lines: Sequence[Line], budgets: Sequence[int]) -> list[str]:
    """Return which of the claims do not hold."""
    faults = []
    for budget in budgets:
        values = {line["method"]: line["value"] for line in lines if _is(line, "mean rank", "all", budget)}
        best = min(values, key=values.__getitem__)
        if best != DEFAULT:
            faults.append(
                f"mean rank after {budget} trials: {best} has {values[best]:.2f}, ours {values[DEFAULT]:.2f}"
            )
    (own,) = (line for line in lines if line["measure"] == "median regret" and line["method"] == DEFAULT)
    if own["value"] >= MOST_HARTMANN6:
        faults.append(f"Hartmann-6: median regret {own['value']:.2g} after 100 trials")
    return faults


def _budget(regrets: Regrets, problems: Sequence[str], budget: int, methods: Sequence[str]) -> list[Line]:
    """Return the lines of one budget: a regret and a rank for each problem, then mean ranks."""
    lines = []
    tables = {name: common(regrets, budget, name, methods) for name in problems}
    for problem, table in tables.items():
        for method, rank, by_median in zip(methods, ranks(table), ranks(table, np.median), strict=True):
            values = list(regrets[method, problem, budget].values())
            about = (problem, method, budget, len(values))
            lines.append(_line("regret", *about, mean_with_interval(values)))
            lines.append(_line("rank", problem, method, budget, table.shape[1], (rank,)))
            lines.append(_line("rank by median", problem, method, budget, table.shape[1], (by_median,)))
    for group, names in _groups(problems).items():
        chosen = [tables[name] for name in names]
        for measure, centre in (("mean rank", np.mean), ("mean rank by median", np.median)):
            for method, found in zip(methods, mean_ranks(chosen, centre), strict=True):
                lines.append(_line(measure, group, method, budget, min(t.shape[1] for t in chosen), found))
    return lines


def _groups(problems: Sequence[str]) -> dict[str, list[str]]:
    """Return the problems over which ranks are averaged: all, and each half."""
    halves = {
        half: [name for name in problems if PROBLEMS[name].half == half] for half in ("tuning", "reporting")
    }
    return {"all": list(problems), **{half: names for half, names in halves.items() if names}}


def _hartmann6(rows: Rows, methods: Sequence[str]) -> list[Line]:
    """Print and return each method's median regret on Hartmann-6 after 100 trials, as it is."""
    lines = []
    for method in methods:
        values = [
            float(row["best_100"]) - PROBLEMS["hartmann6"].optimum
            for row in rows[method]
            if row["problem"] == "hartmann6" and row.get("best_100")
        ]
        if values:
            found = median_with_interval(values)
            lines.append(_line("median regret", "hartmann6", method, 100, len(values), found))
    told = ", ".join(f"{line['method']} {line['value']:.2g}" for line in lines)
    print(f"\nHartmann-6, median regret after 100 trials: {told}", flush=True)
    return lines


def _latency(rows: Rows, methods: Sequence[str]) -> list[Line]:
    """Print and return the median of the milliseconds a suggestion."""
    lines = [
        _line("ms per suggestion", "all", method, "", len(rows[method]), (float(_ms(rows[method])),))
        for method in methods
        if rows[method]
    ]
    told = ", ".join(f"{line['method']} {line['value']:g}" for line in lines)
    print(f"\nmilliseconds of CPU a suggestion, median over runs: {told}", flush=True)
    return lines


def _ms(rows: Sequence[Row]) -> str:
    return f"{statistics.median(float(row['ms_per_suggestion']) for row in rows):.3g}"


def _line(
    measure: str, problem: str, method: str, trials: int | str, seeds: int, value: Sequence[float]
) -> Line:
    """Return a line of the CSV; a value without an interval has none."""
    low, high = value[1:] if len(value) == 3 else ("", "")
    about = {"measure": measure, "problem": problem, "method": method, "trials": trials, "seeds": seeds}
    return {**about, "value": float(f"{value[0]:.5g}"), "low": _short(low), "high": _short(high)}


def _short(value: Any) -> Any:
    return value if value == "" else float(f"{value:.5g}")


def _is(line: Line, measure: str, problem: str, trials: int) -> bool:
    return (line["measure"], line["problem"], line["trials"]) == (measure, problem, trials)


def _print(lines: Sequence[Line], problems: Sequence[str], methods: Sequence[str]) -> None:
    """Print regrets with a row a problem and a column a method, then mean ranks."""
    cells = {
        (line["measure"], line["problem"], line["method"]): _text((line["value"], line["low"], line["high"]))
        for line in lines
        if line["low"] != ""
    }
    table = []
    for name in problems:
        if name in PROBLEMS:
            table.append([name, *(cells["regret", name, method] for method in methods)])
    for name in problems:
        if name not in PROBLEMS:
            for measure in ("mean rank", "mean rank by median"):
                table.append([f"{measure}, {name}", *(cells[measure, name, method] for method in methods)])
    print_table(["problem", *methods], table)


def _text(value: Interval) -> str:
    return f"{value[0]:.2g} ({value[1]:.2g}-{value[2]:.2g})"
