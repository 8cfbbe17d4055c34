"""A trial as a flat row, and rows as a file: CSV, JSON or a spreadsheet."""

import csv
import json
import math
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeAlias

from lightning_tune._imports import require
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.history import History
from lightning_tune.core.trial import Trial
from lightning_tune.errors import ArgumentError

Row: TypeAlias = dict[str, Any]


def values_of(trial: Trial, history: History) -> tuple[float, ...]:
    """Return the monitored values at the report that is the trial's score; empty without one."""
    if trial.best_row is None or not trial.scores:
        return ()
    return history.report(trial.best_row).values


def front_of(history: History) -> frozenset[int]:
    """Return the numbers of the groups that nothing dominates."""
    return frozenset(group.number for group in history.front)


def score_columns(trial: Trial, history: History, front: Collection[int]) -> Row:
    """Return what a trial scored: `score`, or with several objectives a column for each and whether it leads.

    Args:
        trial: the trial.
        history: all trials.
        front: the groups that nothing dominates.
    """
    values, monitors = values_of(trial, history), history.objective.monitor
    if history.objective.scalar:
        return {"score": values[0] if values else None}
    found = values or (None,) * len(monitors)
    columns = {f"values.{name}": value for name, value in zip(monitors, found, strict=True)}
    return {**columns, "front": bool(values) and trial.group in front}


def step_columns(budget: Budget) -> tuple[str, str]:
    """Return the names of the columns with a trial's last step and the step of its score.

    Example:
        >>> step_columns(EPOCHS), step_columns(Budget(grows="model.depth"))
        (('epochs', 'best_epoch'), ('depth', 'best_depth'))
    """
    name = "data" if budget.grows == "data" else budget.name
    one = name.removesuffix("s") if budget.resumes else name
    return name, f"best_{one}"


def trial_row(
    trial: Trial, history: History, budget: Budget = EPOCHS, front: Collection[int] | None = None
) -> Row:
    """Return a trial as one flat row: what became of it, then `config.<key>`, then `metrics.<name>`.

    Args:
        trial: the trial.
        history: all trials.
        budget: what trials spend, which names the columns of steps.
        front: the groups that nothing dominates; None looks for them.
    """
    spent, best = step_columns(budget)
    return {
        "trial": trial.number,
        "group": trial.group,
        "state": trial.state,
        **score_columns(trial, history, front_of(history) if front is None else front),
        spent: trial.step,
        best: trial.best_step,
        "seconds": None if trial.ended is None else trial.ended - trial.started,
        "reason": trial.reason,
        "cause": trial.cause,
        "seed": trial.seed,
        "origin": trial.origin,
        **{f"config.{key}": value for key, value in trial.config.items()},
        **{f"metrics.{name}": value for name, value in trial.metrics.items()},
    }


def trial_record(trial: Trial, history: History, budget: Budget = EPOCHS) -> dict[str, Any]:
    """Return everything that is known of a trial, nested: its configuration, every report, the traceback."""
    row = {key: value for key, value in trial_row(trial, history, budget).items() if "." not in key}
    if not history.objective.scalar:
        row["values"] = list(values_of(trial, history))
    step = step_columns(budget)[1].removeprefix("best_")
    reports = [
        {step: report.step, "values": list(report.values), "time": report.time, "metrics": report.metrics}
        for report in trial.reports
    ]
    return {**row, "config": trial.config, "error": trial.error, "reports": reports}


def write_csv(history: History, path: Path, budget: Budget = EPOCHS) -> None:
    """Write a row a trial; a column that a trial does not have stays empty."""
    rows, columns = _table(history, budget)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_json(history: History, path: Path, budget: Budget = EPOCHS) -> None:
    """Write a list of trials with all of their reports; a number that JSON lacks is a text ("nan", "inf")."""
    trials = [_finite(trial_record(trial, history, budget)) for trial in history]
    path.write_text(json.dumps(trials, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_xlsx(history: History, path: Path, budget: Budget = EPOCHS) -> None:
    """Write a spreadsheet with a row a trial. No text in it is a formula.

    Raises:
        MissingDependencyError: openpyxl is not installed.
    """
    openpyxl = require("openpyxl", "excel", "exporting a spreadsheet")
    rows, columns = _table(history, budget)
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "trials"
    lines: list[list[Any]] = [list(columns), *([row.get(name) for name in columns] for row in rows)]
    for line, values in enumerate(lines, start=1):
        for column, value in enumerate(values, start=1):
            cell = sheet.cell(line, column)
            cell.value = _cell(value)
            if isinstance(cell.value, str):
                cell.data_type = "s"  # or a text that begins with "=" would be run
    sheet.freeze_panes = "A2"
    book.save(path)


WRITERS: dict[str, Callable[[History, Path, Budget], None]] = {
    "csv": write_csv,
    "json": write_json,
    "xlsx": write_xlsx,
}


def export(history: History, path: Path, budget: Budget = EPOCHS) -> int:
    """Write a sweep's trials to a file whose ending says how; return how many there were.

    Args:
        history: the sweep's trials.
        path: the file to write.
        budget: what trials spend, which names the columns of steps.

    Raises:
        ArgumentError: another ending, or a file that cannot be written.
        MissingDependencyError: the ending needs a package that is not installed.
    """
    writer = WRITERS.get(path.suffix.removeprefix(".").lower())
    if writer is None:
        raise ArgumentError(f"the file must end in .csv, .json or .xlsx, got {path.name!r}.")
    try:
        writer(history, path, budget)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be written: {error.strerror or error}.") from error
    return len(history)


def _table(history: History, budget: Budget) -> tuple[list[Row], list[str]]:
    """Return the rows and the columns that any of them has: fixed ones, then configuration, then metrics."""
    front = front_of(history)
    rows = [trial_row(trial, history, budget, front) for trial in history]
    names = dict.fromkeys(name for row in rows for name in row)
    order = {"config": 1, "metrics": 2}
    return rows, sorted(names, key=lambda name: order.get(name.partition(".")[0] if "." in name else "", 0))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def _cell(value: Any) -> Any:
    """Return what a spreadsheet's cell can hold: no control characters, no integers beyond a double's."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return _storable(text)[:32_767]


def _storable(text: str) -> str:
    """Replace what XML, and so a spreadsheet, cannot hold: control characters and surrogates."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
