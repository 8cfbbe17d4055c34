"""Open a sweep: make it, or find it and see that nothing has changed that may not change."""

import itertools
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from lightning_tune.core.checks import sweep_name
from lightning_tune.core.events import JSON, Reported, SpaceDeclared
from lightning_tune.core.history import History
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError, SweepBusyError, SweepExistsError
from lightning_tune.store import Store, SweepRecord, open_store
from lightning_tune.track.private import write_private

_OWNER = "sweep.id"


@dataclass(frozen=True, kw_only=True)
class OpenSweep:
    """A sweep that is ready to run: its folder, its store, its history so far."""

    name: str
    folder: Path | None
    store: Store
    history: History
    resumed: bool


def sweep_folder(root_dir: str | Path, name: str | None) -> tuple[str, Path]:
    """Return a sweep's name (a fresh one for None) and its folder, made (0700) if it is not there.

    Raises:
        ArgumentError: a name that cannot be a folder's, or a root that cannot be written.
    """
    if name is not None:
        sweep_name("name", name)
    root = Path(root_dir)
    try:
        root.mkdir(parents=True, exist_ok=True)
        chosen = _make_fresh(root) if name is None else name
        (root / chosen).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"`root_dir={str(root_dir)!r}` cannot be written: {error.strerror or error}."
        ) from error
    return chosen, root / chosen


def hold_fresh(stack: ExitStack, store: Store) -> str:
    """Hold a sweep of which nothing is in the store, named after the time, and return its name.

    Args:
        stack: lets go of it.
        store: where sweeps live.
    """
    for name in _fresh_names():
        with ExitStack() as attempt, suppress(SweepBusyError):  # somebody else has just taken that name
            attempt.enter_context(store.hold(name))
            if store.sweep(name) is None:
                stack.push(attempt.pop_all())
                return name
    raise AssertionError("there is always another name")


def open_sweep(
    *,
    name: str,
    folder: Path | None,
    store: Store,
    spec: dict[str, JSON],
    space: Space,
    history: History,
    amend: bool,
    overwrite: bool,
) -> OpenSweep:
    """Find or make a sweep, and fold it into `history`, an empty one. The caller holds the right to run it.

    Raises:
        SweepExistsError: it is there with something else that may not change; the message shows the
        difference.
    """
    record = store.sweep(name)
    if record is not None and not overwrite and _matters(store, record, spec, space):
        differences = _differences(record.spec, spec)
        if not differences:
            history.extend(store.read(name))
        version, recorded = max(history.spaces.items()) if history.spaces else _last_space(store, name)
        changed = recorded_space.diff(space) if (recorded_space := Space.from_json(recorded)) != space else []
        if differences or (changed and not amend):
            raise SweepExistsError(_refusal(name, folder, differences, changed))
        if changed:
            history.extend(store.append(name, [_declared(space, version + 1)], durable=True))
        return OpenSweep(name=name, folder=folder, store=store, history=history, resumed=True)
    if record is not None:
        store.delete(name)  # asked for, or nothing but the record is there: no trial of it ever reported
    if folder is not None:
        if record is not None:
            shutil.rmtree(folder / "trials", ignore_errors=True)
        (folder / _OWNER).unlink(missing_ok=True)
    store.create(name, spec, time.time())
    history.extend(store.append(name, [_declared(space, 1)], durable=True))
    return OpenSweep(name=name, folder=folder, store=store, history=history, resumed=False)


def check_owner(folder: Path, name: str, store: Store) -> None:
    """Refuse a folder whose files belong to another sweep: one of the same name in another store.

    Raises:
        SweepExistsError: saying what to do. Nothing was changed.
    """
    owner, record = folder / _OWNER, store.sweep(name)
    if owner.exists() and (record is None or owner.read_text() != repr(record.created)):
        raise SweepExistsError(
            f"the folder {folder} holds the files of a sweep {name!r} that is recorded in another "
            "store (or whose store was deleted). Nothing was changed. Use that store, another `name=` or "
            "`root_dir=`, or `overwrite=True` to begin anew in this folder."
        )


def claim(folder: Path, name: str, store: Store) -> None:
    """Note in the folder which sweep its files belong to."""
    record = store.sweep(name)
    if record is not None:
        write_private(folder / _OWNER, repr(record.created))


def store_of(store: Store | str | Path | None, folder: Path) -> Store:
    """Open the store that a user named; None is `sweep.db` in the sweep's folder."""
    return open_store(folder / "sweep.db" if store is None else store)


def resumed_note(sweep: OpenSweep) -> list[str]:
    """Return what a user should know of a sweep that goes on: how many trials were kept."""
    if not sweep.resumed:
        return []
    ended = sum(trial.ended is not None for trial in sweep.history)
    rest = len(sweep.history) - ended
    return [f"resumed: {ended} finished trials kept" + (f", {rest} to be taken up again" if rest else "")]


def _differences(old: dict[str, JSON], new: dict[str, JSON]) -> list[str]:
    return [f"{key}: {old.get(key)!r} there, {new[key]!r} here" for key in new if old.get(key) != new[key]]


def _last_space(store: Store, name: str) -> tuple[int, dict[str, JSON]]:
    """Return the newest version of the space of a sweep that is not folded; (0, {}) without one."""
    declared = [event for event in store.read(name) if isinstance(event, SpaceDeclared)]
    return (declared[-1].version, dict(declared[-1].space)) if declared else (0, {})


def _refusal(name: str, folder: Path | None, differences: list[str], changed: list[str]) -> str:
    where = "" if folder is None else f" ({folder})"
    lines = [f"the sweep {name!r}{where} exists and was made with other settings:"]
    lines += [f"  {sentence}" for sentence in differences]
    lines += [f"  space: {sentence}" for sentence in changed]
    ways = "`overwrite=True` to delete it and begin anew, or another `name=`"
    if not differences:
        ways = "`amend=True` to go on with the new space, " + ways
    return "\n".join([*lines, f"Nothing was changed. Use {ways}."])


def _declared(space: Space, version: int) -> SpaceDeclared:
    return SpaceDeclared(version=version, space=space.to_json(), time=time.time())


def _matters(store: Store, record: SweepRecord, spec: dict[str, JSON], space: Space) -> bool:
    """Whether a sweep is to be kept: it has a report, or it is the very one that is asked for."""
    if any(type(event) is Reported for event in store.read(record.name)):
        return True
    recorded = _last_space(store, record.name)[1]
    return bool(recorded) and Space.from_json(recorded) == space and not _differences(record.spec, spec)


def _make_fresh(root: Path) -> str:
    """Make a folder that was not there, and return its name."""
    for name in _fresh_names():
        try:
            (root / name).mkdir(mode=0o700)
        except FileExistsError:
            continue
        return name
    raise AssertionError("there is always another name")


def _fresh_names() -> Iterator[str]:
    """Yield names after the time, one after another, for whoever takes the first that is free."""
    base = time.strftime("sweep-%Y%m%d-%H%M%S")
    yield base
    yield from (f"{base}-{number}" for number in itertools.count(2))
