"""Every schedule and its peers on one task: epochs trained, seconds, and scores at equal numbers of epochs.

A sweep of ours must train exactly the epochs that its record needs, none twice, and every epoch of a trial
that was paused must give the score, bit for bit, that it gives under any other of our schedules.
"""

import contextlib
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import halvers
from counting import Trained, epochs_needed
from halvers import Job
from recording import print_table
from tasks import DIGITS, Task

from lightning_tune import open_store
from lightning_tune.core.budget import Budget
from lightning_tune.schedule import Hyperband

SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Sweep:
    """What one method did under one seed; seconds of CPU are this process's."""

    seconds: float
    cpu_seconds: float
    trained: Trained
    needed: dict[int, float] | None

    @property
    def exact(self) -> bool:
        """Whether each of its trials trained what the record (if it is ours) needs, and nothing twice."""
        return self.needed is None or (self.trained.twice == 0 and self.needed == self.trained.by_trial)


@dataclass
class Method:
    """A method, how many configurations it is given, and its sweeps on one task, one a seed."""

    name: str
    run: Callable[[Job], None]
    trials: int
    here: bool = True  # whether it trains in this process
    sweeps: list[Sweep] = field(default_factory=list)

    def measure(self, task: Task, seed: int, epochs: int) -> None:
        """Run it in an empty folder; its screen goes to a file."""
        with tempfile.TemporaryDirectory() as folder:
            job = Job(task, Path(folder), seed, self.trials, epochs)
            with (job.folder / "screen.txt").open("w") as screen, contextlib.redirect_stdout(screen):
                began, cpu_began = time.perf_counter(), time.process_time()
                self.run(job)
                seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
            trained = Trained.read(job.log, [config for config, _ in job.planned()])
            self.sweeps.append(Sweep(seconds, cpu_seconds, trained, _needed(job)))


def _needed(job: Job) -> dict[int, float] | None:
    """Return the epochs that each trial of a sweep of ours needs by its record."""
    if not job.store.exists():
        return None
    with open_store(job.store) as store:
        return epochs_needed(store.read("sweep"))


def methods_of(epochs: int, *, peers: bool) -> list[Method]:
    """Return the methods: Hyperband once, as many epochs of random search, three brackets for the others."""
    brackets = Hyperband(eta=halvers.ETA).resolve(Budget(full=epochs)).brackets
    once, several = sum(bracket.size for bracket in brackets), 3 * epochs
    as_long = math.ceil(sum(bracket.spent(resumes=True) for bracket in brackets) / epochs)
    methods = [
        Method("random search", halvers.full, as_long),
        Method("Hyperband", halvers.hyperband, once),
        Method("halving", halvers.halving, several),
        Method("ASHA", halvers.asha, several),
        Method("ASHA, stopping", halvers.asha_stopping, several),
    ]
    if peers:
        methods += [
            Method("Optuna Hyperband", halvers.optuna_hyperband, once),
            Method("Ray Tune ASHA", halvers.ray_asha, several, here=False),
        ]
    return methods


def compare(
    task: Task, seeds: Sequence[int], epochs: int, *, peers: bool
) -> tuple[list[str], list[dict[str, Any]]]:
    """Run every method under every seed, print two tables; return what does not hold, and a row a method."""
    methods = methods_of(epochs, peers=peers)
    for seed in seeds:
        for place in range(len(methods)):
            method = methods[(place + seed) % len(methods)]
            method.measure(task, seed, epochs)
            seconds, total = method.sweeps[-1].seconds, method.sweeps[-1].trained.total
            print(f"{task.name}, seed {seed}: {method.name}, {total:g} epochs in {seconds:.2f} s", flush=True)
    rows = [{"task": task.name, **row(method, methods)} for method in methods]
    show(task, rows)
    faults = [
        f"{task.name}, {method.name}: trains the epochs that its record needs"
        for method in methods
        if not all(sweep.exact for sweep in method.sweeps)
    ]
    faults += [
        f"{task.name}, {line['method']}: gives the scores of our other schedules"
        for line in rows
        if line["needed_epochs"] and not line["same_scores"]
    ]
    return faults, rows


def warm_up(*, peers: bool) -> None:
    """Run each method once on next to nothing: imports and first calls belong to nobody."""
    for method in methods_of(2, peers=peers):
        method.measure(DIGITS, 0, 2)


def row(method: Method, methods: Sequence[Method]) -> dict[str, Any]:
    """Return what a method did on one task, over the seeds, as a row of the CSV.

    Scores are compared up to the fewest epochs that any method trained under the same seed.
    """
    trained = [sweep.trained for sweep in method.sweeps]
    seconds = [sweep.seconds for sweep in method.sweeps]
    cpu_seconds = [sweep.cpu_seconds for sweep in method.sweeps]
    needed = [sum(sweep.needed.values()) for sweep in method.sweeps if sweep.needed is not None]
    rounds = list(zip(*(other.sweeps for other in methods), strict=True))  # one a seed
    fewest = [min(sweep.trained.total for sweep in one) for one in rounds]
    ends = [one.best(most) for one, most in zip(trained, fewest, strict=True)]
    by_chance = [one[0].trained.best(most) for one, most in zip(rounds, fewest, strict=True)]
    return {
        "method": method.name,
        "seeds": len(trained),
        "trials": method.trials,
        **_spread("epochs", [one.total for one in trained]),
        "needed_epochs": f"{statistics.median(needed):g}" if needed else "",
        "epochs_twice": sum(one.twice for one in trained),
        **_spread("seconds", seconds),
        "ms_per_epoch": _per_epoch(method.sweeps, seconds),
        "cpu_ms_per_epoch": _per_epoch(method.sweeps, cpu_seconds) if method.here else "",
        "same_scores": all(
            _agree(one, other.trained)
            for one, others in zip(trained, rounds, strict=True)
            for other in others
            if other.needed is not None
        ),
        **_spread("best", [one.best() for one in trained]),
        "compared_epochs": f"{statistics.median(fewest):g}",
        **{
            name: value
            for share in SHARES
            for name, value in _spread(
                f"best_at_{share:.0%}",
                [one.best(share * most) for one, most in zip(trained, fewest, strict=True)],
            ).items()
        },
        "beats_random": sum(end < chance for end, chance in zip(ends, by_chance, strict=True)),
    }


def _per_epoch(sweeps: Sequence[Sweep], seconds: Sequence[float]) -> str:
    """Return the median, over the seeds, of the milliseconds per trained epoch."""
    each = [1e3 * took / sweep.trained.total for sweep, took in zip(sweeps, seconds, strict=True)]
    return f"{statistics.median(each):.4g}"


def _spread(name: str, values: Sequence[float]) -> dict[str, str]:
    return {
        name: f"{statistics.median(values):.4g}",
        f"{name}_min": f"{min(values):.4g}",
        f"{name}_max": f"{max(values):.4g}",
    }


def _agree(one: Trained, other: Trained) -> bool:
    """Whether two sweeps give the same score, bit for bit, wherever both trained an epoch of a trial."""
    mine, theirs = one.scores, other.scores
    return all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys())


def show(task: Task, rows: Sequence[dict[str, Any]]) -> None:
    """Print what each method cost, and its best score after equal numbers of epochs."""
    seeds = rows[0]["seeds"]
    print(f"\n{task.name}: median of {seeds} seeds (least to most)\n")
    times = ["seconds", "ms/epoch", "of CPU"]
    print_table(
        ["method", "trials", "epochs trained", "needed", "twice", *times, "same scores", "best"],
        [
            [
                line["method"],
                str(line["trials"]),
                _cell(line, "epochs"),
                line["needed_epochs"],
                str(line["epochs_twice"]),
                _cell(line, "seconds"),
                line["ms_per_epoch"],
                line["cpu_ms_per_epoch"],
                "yes" if line["same_scores"] else "no",
                _cell(line, "best"),
            ]
            for line in rows
        ],
    )
    print(f"\nbest score so far, at shares of {rows[0]['compared_epochs']} trained epochs\n")
    print_table(
        ["method", *(f"{share:.0%}" for share in SHARES), "beats random search"],
        [
            [
                line["method"],
                *(_cell(line, f"best_at_{share:.0%}") for share in SHARES),
                f"{line['beats_random']} of {seeds}",
            ]
            for line in rows
        ],
    )
    print(flush=True)


def _cell(line: dict[str, Any], name: str) -> str:
    spread = f" ({line[f'{name}_min']} to {line[f'{name}_max']})"
    return f"{line[name]}{spread if line['seeds'] > 1 else ''}"
