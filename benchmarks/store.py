"""Does a long sweep open quickly, and does one more trial cost what the first did? Beside Optuna's storage.

    python benchmarks/store.py            10^2, 10^4, 10^5 trials of 10 reports; writes results/store.csv
    python benchmarks/store.py --quick    10^2, 10^3, 10^4; the peer up to 10^3; writes nothing

Both keep the sweep in an SQLite file on the same disk. Opening is from nothing to every trial with its
reports in memory: ours reads the events and folds them into a `History`, Optuna's is a new `RDBStorage` and
`get_all_trials`. Appending is one whole trial, as the loop does it: its start (on the disk), ten reports in
transactions of their own, its end (on the disk). The ten reports are shown by themselves too, since the
disk's own time can hide all else in a trial. Each is measured in turns with an empty sweep's in the same
file, so that what else slows the machine slows both. The peer is capped at 10^4 trials, since it is filled
one trial at a time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recording import RESULTS, environment, median_with_interval, print_table, write_csv

from lightning_tune.core.events import Event, LegStarted, Reported, TrialEnded, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.store import Store, open_store

REPORTS = 10
METRICS = '{"val_acc": 0.9312345, "val_loss": 0.2312345, "train_loss": 0.1234567}'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller sweeps, and no CSV")
    parser.add_argument("--no-peer", action="store_true", help="without Optuna")
    options = parser.parse_args()
    sizes, cap = ((100, 1_000, 10_000), 1_000) if options.quick else ((100, 10_000, 100_000), 10_000)
    rows = []
    for size in sizes:
        rows += measured("lightning-tune", ours, size)
        if not options.no_peer and size <= cap:
            rows += measured("Optuna", optunas, size)
    show(rows)
    if not options.no_peer and cap < sizes[-1]:
        print(f"Optuna was not run above {cap:,} trials: filling it takes too long.")
    if not options.quick:
        packages = ["lightning-tuneloop", "SQLAlchemy", *([] if options.no_peer else ["optuna"])]
        here = environment(packages)
        write_csv(RESULTS / "store.csv", [{**row, **here} for row in rows])


def measured(
    name: str, run: Callable[[Path, int], dict[str, list[float]]], size: int
) -> list[dict[str, Any]]:
    """Run one store at one size and return a row for each of its measures, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        measures = run(Path(folder), size)
    rows = []
    for measure, values in measures.items():
        median, low, high = median_with_interval(values)
        row = {"store": name, "trials": size, "reports": REPORTS, "measure": measure, "repeats": len(values)}
        rows.append({**row, "median_s": f"{median:.6g}", "low_s": f"{low:.6g}", "high_s": f"{high:.6g}"})
    return rows


# -- ours ------------------------------------------------------------------------------------------


def ours(folder: Path, size: int) -> dict[str, list[float]]:
    path = folder / "sweep.db"
    with open_store(path) as store:
        store.create("long", {}, time.time())
        store.create("empty", {}, time.time())
        for first in range(0, size, 1000):
            trials = range(first, min(first + 1000, size))
            store.append("long", [event for number in trials for event in trial_events(number)])
    opening = [timed(lambda: open_and_fold(path, size)) for _ in range(3 if size >= 10**5 else 7)]
    trial: dict[str, list[float]] = {"long": [], "empty": []}
    reports: dict[str, list[float]] = {"long": [], "empty": []}
    with open_store(path) as store:
        for number in range(60):
            for sweep, count in (("long", size + number), ("empty", number)):
                whole, part = append_trial(store, sweep, count)
                trial[sweep].append(whole)
                reports[sweep].append(part)
    return named(opening, trial, reports)


def named(
    opening: list[float], trial: dict[str, list[float]], reports: dict[str, list[float]]
) -> dict[str, list[float]]:
    return {
        "open": opening,
        "append a trial": trial["long"],
        "append a trial, empty sweep": trial["empty"],
        "its ten reports": reports["long"],
        "its ten reports, empty sweep": reports["empty"],
    }


def trial_events(number: int) -> list[Event]:
    config = {"lr": 1e-5 * (number + 1), "width": number % 512, "optimizer": "adam", "data.batch_size": 64}
    now = 1.7e9 + number
    return [
        TrialStarted(
            trial=number, group=number, config=config, seed=number, space_version=1, origin="search", time=now
        ),
        LegStarted(trial=number, leg=0, budget=float(REPORTS), time=now),
        *(
            Reported(number, 0, float(step), (1.0 - 1.0 / (step + number),), now + step, METRICS)
            for step in range(1, REPORTS + 1)
        ),
        TrialEnded(trial=number, leg=0, step=float(REPORTS), state="completed", reason="10 epochs", time=now),
    ]


def open_and_fold(path: Path, size: int) -> None:
    with open_store(path) as store:
        history = History(Objective.of("val_acc", "max"))
        history.extend(store.read("long"))
    if len(history) < size or history.num_reports < REPORTS * size:
        raise RuntimeError(f"{len(history)} trials came back, of {size}")


def append_trial(store: Store, sweep: str, number: int) -> tuple[float, float]:
    """Append a trial; return the seconds for all of it and for its reports."""
    events = trial_events(number)
    began = time.perf_counter()
    store.append(sweep, events[:2], durable=True)
    started = time.perf_counter()
    for report in events[2:-1]:
        store.append(sweep, [report])
    reported = time.perf_counter()
    store.append(sweep, events[-1:], durable=True)
    return time.perf_counter() - began, reported - started


# -- the peer --------------------------------------------------------------------------------------


def optunas(folder: Path, size: int) -> dict[str, list[float]]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = f"sqlite:///{folder / 'optuna.db'}"
    directions = [optuna.study.StudyDirection.MAXIMIZE]
    storage = optuna.storages.RDBStorage(url)
    studies = {name: storage.create_new_study(directions, study_name=name) for name in ("long", "empty")}
    template = optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE,
        value=0.9,
        params={"lr": 0.01, "width": 64},
        distributions={
            "lr": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True),
            "width": optuna.distributions.IntDistribution(1, 512),
        },
        intermediate_values={step: 0.9 for step in range(1, REPORTS + 1)},
    )
    for _ in range(size):
        storage.create_new_trial(studies["long"], template_trial=template)
    opening = [timed(lambda: open_optuna(url, studies["long"], size)) for _ in range(3)]
    trial: dict[str, list[float]] = {name: [] for name in studies}
    reports: dict[str, list[float]] = {name: [] for name in studies}
    for _ in range(20):
        for name, study in studies.items():
            whole, part = append_to_optuna(storage, study, template)
            trial[name].append(whole)
            reports[name].append(part)
    storage.remove_session()
    return named(opening, trial, reports)


def open_optuna(url: str, study: int, size: int) -> None:
    import optuna

    storage = optuna.storages.RDBStorage(url)
    trials = storage.get_all_trials(study)
    if len(trials) < size or len(trials[0].intermediate_values) != REPORTS:
        raise RuntimeError(f"{len(trials)} trials came back, of {size}")
    storage.remove_session()


def append_to_optuna(storage: Any, study: int, template: Any) -> tuple[float, float]:
    """Append a trial; return the seconds for all of it and for its reports."""
    import optuna

    began = time.perf_counter()
    trial = storage.create_new_trial(study)
    for name, value in template.params.items():
        distribution = template.distributions[name]
        storage.set_trial_param(trial, name, distribution.to_internal_repr(value), distribution)
    started = time.perf_counter()
    for step in range(1, REPORTS + 1):
        storage.set_trial_intermediate_value(trial, step, 0.9)
    reported = time.perf_counter()
    storage.set_trial_state_values(trial, optuna.trial.TrialState.COMPLETE, [0.9])
    return time.perf_counter() - began, reported - started


# -- showing ---------------------------------------------------------------------------------------


def timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def show(rows: list[dict[str, Any]]) -> None:
    lines = []
    for row in rows:
        scale, unit = (1.0, "s") if row["measure"] == "open" else (1000.0, "ms")
        median, low, high = (scale * float(row[name]) for name in ("median_s", "low_s", "high_s"))
        interval = f"{low:.3g} to {high:.3g}"
        lines.append(
            [
                row["measure"],
                row["store"],
                f"{row['trials']:,}",
                f"{median:.3g} {unit}",
                interval,
                str(row["repeats"]),
            ]
        )
    lines.sort(key=lambda line: line[0] != "open")
    print_table(["measure", "store", "trials", "median", "95% of the median", "runs"], lines)


if __name__ == "__main__":
    main()
