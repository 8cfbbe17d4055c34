"""Find sweeps on disk (or in a database) and read their histories, without writing to them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.events import JSON
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError
from lightning_tune.store import Store, SweepRecord, open_store

STORE_FILE = "sweep.db"


@dataclass(frozen=True, kw_only=True)
class SavedSweep:
    """A sweep as it was read.

    Attributes:
        record: its name, what it was made with, and when.
        history: its trials.
        folder: its folder, None where it is read from a database by URL.
        budget: what its trials spend.
    """

    record: SweepRecord
    history: History
    folder: Path | None
    budget: Budget = EPOCHS

    @property
    def monitor(self) -> str:
        """The first (usually the only) monitored metric."""
        return self.history.objective.monitor[0]


def stores_at(where: str) -> list[str | Path]:
    """Return the stores that `where` names: a URL, a file, a sweep's folder, or a folder of such folders.

    Raises:
        ArgumentError: there is nothing, or nothing of ours.
    """
    if "://" in where:
        file = where.removeprefix("sqlite:///")
        if file != where and not Path(file).is_file():
            raise ArgumentError(f"there is no file {file!r}.")
        return [where]
    path = Path(where).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ArgumentError(
            f"there is no file or folder {where!r}. Name a sweep's folder, its store, or a store's URL."
        )
    own = path / STORE_FILE
    found = [own] if own.is_file() else sorted(path.glob(f"*/{STORE_FILE}"))
    if not found:
        raise ArgumentError(f"no sweep in {where!r}: a sweep's folder holds a {STORE_FILE}.")
    return list(found)


def read_sweeps(where: str) -> list[SavedSweep]:
    """Read every sweep at a place, oldest first.

    Raises:
        ArgumentError: there is none.
        StoreError: a store cannot be read.
    """
    sweeps: list[SavedSweep] = []
    for place in stores_at(where):
        with open_store(place) as store:
            folder = place.parent if isinstance(place, Path) else None
            sweeps += [read_sweep(store, record, folder) for record in store.sweeps()]
    if not sweeps:
        raise ArgumentError(f"{_shown(where)} holds no sweep yet.")
    return sorted(sweeps, key=lambda sweep: sweep.record.created)


def find_sweep(where: str, name: str | None = None) -> SavedSweep:
    """Read one sweep; `name` is needed only where there are several.

    Raises:
        ArgumentError: there is none of that name, or there are several.
        StoreError: the store cannot be read.
    """
    sweeps = read_sweeps(where)
    names = ", ".join(repr(sweep.record.name) for sweep in sweeps)
    if name is not None:
        sweeps = [sweep for sweep in sweeps if sweep.record.name == name]
    if len(sweeps) != 1:
        problem = f"no sweep {name!r}" if name is not None and not sweeps else f"{len(sweeps)} sweeps"
        raise ArgumentError(f"{problem} in {_shown(where)}. There are {names}: choose with --sweep NAME.")
    return sweeps[0]


def read_sweep(store: Store, record: SweepRecord, folder: Path | None = None) -> SavedSweep:
    """Read a sweep's history from an open store."""
    budget = recorded_budget(record.spec)
    history = History(
        recorded_objective(record.spec), _int(record.spec.get("repeats"), 1), anew=not budget.resumes
    )
    history.extend(store.read(record.name))
    return SavedSweep(record=record, history=history, folder=folder, budget=budget)


def recorded_budget(spec: dict[str, JSON]) -> Budget:
    """Return what a sweep's trials spend, from its record; epochs where it does not say.

    Raises:
        ArgumentError: the record names a budget that does not exist.
    """
    return Budget.of(str(spec.get("budget", "epochs")), str(spec.get("budget_unit", "epochs")))


def recorded_objective(spec: dict[str, JSON]) -> Objective:
    """Return a sweep's objective from its record.

    A callable `score=` is not in the record (nothing that is read is ever called): then trials are ordered by
    the first monitor. Several monitors without one are compared by domination.

    Raises:
        ArgumentError: the record names no monitor or mode.
    """
    monitors, modes = _words(spec.get("monitor")), _words(spec.get("mode"))
    score = spec.get("score", "best")
    if score in ("best", "last"):
        word: Literal["best", "last"] = "last" if score == "last" else "best"
        return Objective.of(monitors, modes, word)
    return Objective.of(monitors, modes, _first(modes[0] if modes else "min"))


def _shown(where: str) -> str:
    """Return a place as messages may name it: a URL may hold a password."""
    return "the database" if "://" in where else repr(where)


def _first(mode: str) -> Callable[[tuple[float, ...]], float]:
    return (lambda values: -values[0]) if mode == "max" else (lambda values: values[0])


def _words(value: JSON) -> list[str]:
    return (
        [value]
        if isinstance(value, str)
        else [str(word) for word in value]
        if isinstance(value, list)
        else []
    )


def _int(value: JSON, default: int) -> int:
    return value if isinstance(value, int) else default
