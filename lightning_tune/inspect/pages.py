"""Sweeps and trials as plain text for a terminal: tables without escape codes, user text made safe."""

import datetime
import itertools
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lightning_tune.core.events import Config
from lightning_tune.core.trial import Trial
from lightning_tune.inspect.reading import SavedSweep
from lightning_tune.inspect.rows import step_columns, values_of

_REPORTS = 30
_FRONT = 20


def sweeps_page(sweeps: Sequence[SavedSweep]) -> str:
    """Return a table with a line a sweep."""
    rows = []
    for sweep in sweeps:
        best = sweep.history.best
        rows.append(
            [
                sweep.record.name,
                _when(sweep.record.created),
                str(len(sweep.history)),
                _states(sweep),
                ", ".join(_monitors(sweep)),
                "" if best is None else ", ".join(_scores(sweep, best)),
                "" if sweep.folder is None else str(sweep.folder),
            ]
        )
    return table(["sweep", "begun", "trials", "of which", "monitor", "best", "folder"], rows)


def sweep_page(sweep: SavedSweep, count: int) -> str:
    """Return what a sweep is and its `count` best trials, then those without a score.

    With several objectives they come front by front.
    """
    history, spec = sweep.history, sweep.record.spec
    ranked = _ranked(sweep)
    lines = [
        f"sweep {sweep.record.name}, begun {_when(sweep.record.created)}, sessions: {len(history.sessions)}",
        f"{_goal(sweep)}; search {_part(spec.get('search'))}, "
        f"schedule {_part(spec.get('schedule'))}, seed {spec.get('seed')}",
        f"{len(history)} trials: {_states(sweep) or 'none yet'}; {history.num_reports} reports",
        *_front(sweep),
        "",
    ]
    rows = [
        [
            str(trial.number),
            trial.state,
            *_scores(sweep, trial),
            sweep.budget.figure(trial.step),
            trial.reason,
            describe(trial.config),
        ]
        for trial in ranked[:count]
    ]
    spent, _ = step_columns(sweep.budget)
    page = table(["trial", "state", *_monitors(sweep), spent, "reason", "configuration"], rows)
    hidden = len(ranked) - len(rows)
    more = [f"... and {hidden} more: --limit {len(ranked)} shows all."] if hidden > 0 else []
    return "\n".join([*map(clean, lines), page, *more])


def trial_page(sweep: SavedSweep, number: int) -> str:
    """Return everything about one trial: configuration, reports, checkpoints, traceback."""
    trial, figure = sweep.history.trials[number], sweep.budget.figure
    spent, step = step_columns(sweep.budget)[0], _step(sweep)
    facts = [
        ["state", trial.state + (f" ({trial.cause})" if trial.cause else "")],
        ["reason", trial.reason],
        *map(list, zip(_monitors(sweep), _scores(sweep, trial), strict=True)),
        [f"{step} of it", "" if trial.best_step is None else figure(trial.best_step)],
        [spent, f"{figure(trial.step)} of {figure(trial.budget)}"],
        ["begun", _when(trial.started)],
        ["seconds", "" if trial.ended is None else f"{trial.ended - trial.started:.1f}"],
        ["seed", str(trial.seed)],
        ["came from", trial.origin],
        ["legs", str(len(trial.legs))],
    ]
    parts = [
        clean(f"trial {number} of sweep {sweep.record.name}"),
        table(None, [fact for fact in facts if fact[1]]),
    ]
    values = [[f"config {key}", json.dumps(value)] for key, value in trial.config.items()]
    parts.append(table(None, values))
    parts += _files(sweep, trial)
    parts.append(_reports(sweep, trial))
    if trial.error:
        parts.append("\n".join(clean(line) for line in trial.error.splitlines()))
    return "\n\n".join(part for part in parts if part)


def table(header: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> str:
    """Return left-aligned columns, two spaces apart, with everything unprintable removed.

    Example:
        >>> print(table(["trial", "score"], [["0", "0.5"], ["12", "0.75"]]))
        trial  score
        0      0.5
        12     0.75
    """
    lines = [[clean(cell) for cell in line] for line in ([header] if header else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)] if lines else []
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def describe(config: Config) -> str:
    """Return a configuration on one line.

    Example:
        >>> describe({"lr": 0.00314159, "net": "cnn"})
        'lr=0.00314 net=cnn'
    """
    return " ".join(f"{key}={_short(value)}" for key, value in config.items())


def clean(text: str) -> str:
    r"""Return text without control, bidirectional and surrogate characters, which could steer a terminal.

    Example:
        >>> clean("a\x1b[31mb\u202ec")
        'a[31mbc'
    """
    return "".join(
        char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Cs") or char == "\t"
    )


def _reports(sweep: SavedSweep, trial: Trial) -> str:
    reports = trial.reports
    if not reports:
        return ""
    metrics = list(dict.fromkeys(name for report in reports[-_REPORTS:] for name in report.metrics))
    names = [name for name in metrics if name not in sweep.history.objective.monitor][:6]
    header = [_step(sweep), *sweep.history.objective.monitor, *names]
    rows = [
        [
            sweep.budget.figure(report.step),
            *map(_number, report.values),
            *(_number(report.metrics.get(name)) for name in names),
        ]
        for report in reports[-_REPORTS:]
    ]
    left = len(reports) - len(rows)
    return (f"the last {len(rows)} of {len(reports)} reports\n" if left else "") + table(header, rows)


def _step(sweep: SavedSweep) -> str:
    return step_columns(sweep.budget)[1].removeprefix("best_")


def _files(sweep: SavedSweep, trial: Trial) -> list[str]:
    rows = []
    for kind, saved in trial.checkpoints.items():
        path = saved.path if sweep.folder is None else str(sweep.folder / saved.path)
        rows.append(
            [
                f"checkpoint ({kind})",
                path,
                f"{_step(sweep)} {sweep.budget.figure(saved.step)}",
                f"{saved.size:,} bytes",
            ]
        )
    return [table(None, rows)] if rows else []


def _states(sweep: SavedSweep) -> str:
    counts = Counter(trial.state for trial in sweep.history)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _when(time: float) -> str:
    return datetime.datetime.fromtimestamp(time).strftime("%Y-%m-%d %H:%M:%S")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def _monitors(sweep: SavedSweep) -> Sequence[str]:
    """Return the metrics that trials are compared by; of a `score=` that is not read, the first."""
    objective = sweep.history.objective
    return objective.monitor[:1] if objective.scalar else objective.monitor


def _scores(sweep: SavedSweep, trial: Trial) -> list[str]:
    """Return a cell for each of them."""
    values = values_of(trial, sweep.history)
    return [_number(value) for _, value in zip(_monitors(sweep), values, strict=False)] or [
        "" for _ in _monitors(sweep)
    ]


def _goal(sweep: SavedSweep) -> str:
    modes = sweep.history.objective.mode
    words = {"max": "maximise", "min": "minimise"}
    return ", ".join(f"{words[mode]} {name}" for mode, name in zip(modes, _monitors(sweep), strict=False))


def _ranked(sweep: SavedSweep) -> list[Trial]:
    """Return all trials, best first, those without a score last."""
    history = sweep.history
    if history.objective.scalar:
        return sorted(history, key=lambda trial: (trial.cost, trial.number))
    fronts = history.fronts(history.groups)
    order = {group.number: place for place, group in enumerate(itertools.chain(*fronts))}
    return sorted(history, key=lambda trial: (order.get(trial.group, len(order)), trial.number))


def _front(sweep: SavedSweep) -> list[str]:
    """Return a line that names the front of several objectives, from the best in the first on."""
    front = [] if sweep.history.objective.scalar else sweep.history.front
    if not front:
        return []
    numbers = ", ".join(str(group.best_member.number) for group in front[:_FRONT])
    more = f" and {len(front) - _FRONT} more" if len(front) > _FRONT else ""
    return [f"front of {len(front)}, from the best {_monitors(sweep)[0]} on: trials {numbers}{more}"]


def _part(description: Any) -> str:
    return str(description.get("name", "?")) if isinstance(description, dict) else str(description)
