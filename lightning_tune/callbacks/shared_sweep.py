"""A sweep that any number of processes join: whoever comes first makes it, the others must mean the same."""

import contextlib
import math
import os
import time
from pathlib import Path

from lightning_tune.callbacks.shared_run import Judge
from lightning_tune.core.budget import EPOCHS
from lightning_tune.core.events import JSON
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError, SweepExistsError
from lightning_tune.schedule import ASHA
from lightning_tune.store import Store, SweepRecord

STORE_VARIABLE = "LIGHTNING_TUNE_STORE"
_FORMAT = 1
_ARGUMENT_OF = {"max_budget": "max_epochs", "min_budget": "min_epochs"}


def store_place(store: str | Path | None, sweep: str) -> str | Path:
    """Return where a sweep's store is.

    None is what the environment variable LIGHTNING_TUNE_STORE says, or else `sweeps/<sweep>/sweep.db` below
    the current folder, as `TuneLoop` has it; the folder is made.

    Raises:
        ArgumentError: the folder cannot be made.
    """
    if store is not None:
        return store
    if os.environ.get(STORE_VARIABLE):
        return os.environ[STORE_VARIABLE]
    folder = Path("sweeps") / sweep
    try:
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"the folder {folder.resolve()} cannot be made ({error.strerror or error}): give `store=` a path "
            f"or URL, or set {STORE_VARIABLE}."
        ) from error
    return folder / "sweep.db"


def schedule_for(min_epochs: int, eta: float, max_epochs: int | None, trainer_epochs: float) -> ASHA:
    """Return who is stopped in a sweep, for a Trainer of so many epochs (infinite where it has no limit).

    Raises:
        ArgumentError: the two do not fit.
    """
    last = trainer_epochs if max_epochs is None else float(max_epochs)
    if math.isinf(last):
        raise ArgumentError(
            "`max_epochs` of SuccessiveHalvingPruner must be given where the Trainer has none: it is the "
            "last rung."
        )
    for name, value in (("max_epochs", last), ("min_epochs", min_epochs)):
        if value > trainer_epochs:
            raise ArgumentError(
                f"`{name}` of SuccessiveHalvingPruner is {value:g}, but the Trainer's `max_epochs` is "
                f"{trainer_epochs:g}: lower the one or raise the other."
            )
    schedule = ASHA(stopping=True, eta=eta, min_budget=min_epochs, max_budget=last)
    return schedule.resolve(EPOCHS)


def join_sweep(store: Store, name: str, objective: Objective, judge: Judge) -> SweepRecord:
    """Find the sweep, or make it; of several processes that come at once one makes it.

    Raises:
        SweepExistsError: it is there with another monitor, mode, eta or rungs; the message shows them.
    """
    spec = _spec(objective, judge)
    while (record := store.sweep(name)) is None:
        with contextlib.suppress(SweepExistsError):  # another process has just made it
            record = store.create(name, spec, time.time())
            break
    differences = _differences(_flat(record.spec), _flat(spec))
    if differences:
        lines = "\n".join(f"  {sentence}" for sentence in differences)
        raise SweepExistsError(
            f"the sweep {name!r} is there already with other settings:\n{lines}\nNothing was changed. All "
            "runs of a sweep are compared with one another: use the same settings, or another `sweep=`."
        )
    return record


def _spec(objective: Objective, judge: Judge) -> dict[str, JSON]:
    return {
        "format": _FORMAT,
        "monitor": list(objective.monitor),
        "mode": list(objective.mode),
        "score": "best",
        "search": "none (each run brings its own configuration)",
        "schedule": judge.describe(),
        "seed": None,
        "repeats": 1,
        "budget": "epochs",
        "budget_unit": "epochs",
    }


def _flat(spec: dict[str, JSON]) -> dict[str, JSON]:
    """Return a sweep's settings under the names that the callback's arguments have."""
    schedule = spec.get("schedule")
    own = dict(schedule) if isinstance(schedule, dict) else {"name": schedule}
    own = {_ARGUMENT_OF.get(key, key): value for key, value in own.items()}
    own["schedule"] = own.pop("name", None)
    rest = {key: value for key, value in spec.items() if key not in ("schedule", "seed")}
    return {**rest, **own}


def _differences(there: dict[str, JSON], here: dict[str, JSON]) -> list[str]:
    return [
        f"{key}: {_word(there.get(key))} there, {_word(value)} here"
        for key, value in here.items()
        if there.get(key) != value
    ]


def _word(value: JSON) -> str:
    if isinstance(value, list) and len(value) == 1:
        return _word(value[0])
    return f"{value:g}" if isinstance(value, float) else repr(value)
