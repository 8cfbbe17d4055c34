"""A store in this process's memory, with the contract of the others: for tests, and functions without a file.

Events are kept as a database would give them back (plain numbers, text and lists, sharing nothing with the
caller's), and what no database can hold is refused in the same words.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence

from lightning_tune.core.events import JSON, Event, Reported
from lightning_tune.errors import StoreError, SweepBusyError, SweepExistsError
from lightning_tune.store import codec
from lightning_tune.store.base import Store, SweepRecord, Transaction
from lightning_tune.store.problems import no_such_sweep, reported_already

_PLACE = "the store in memory"


class MemoryStore(Store):
    """Sweeps that end with the process.

    Example:
        >>> with MemoryStore() as store:
        ...     store.create("digits", {"monitor": "val_acc"}, time=0.0).name
        'digits'
    """

    def __init__(self) -> None:
        self._sweeps: dict[str, _Sweep] = {}
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<MemoryStore: {len(self._sweeps)} sweeps>"

    def sweeps(self) -> list[SweepRecord]:
        """Return every sweep, oldest first."""
        self._check()
        return [sweep.record() for sweep in list(self._sweeps.values())]

    def sweep(self, name: str) -> SweepRecord | None:
        """Return one sweep, or None."""
        self._check()
        found = self._sweeps.get(name)
        return None if found is None else found.record()

    def create(self, name: str, spec: dict[str, JSON], time: float) -> SweepRecord:
        """Create an empty sweep."""
        self._check()
        sweep = _Sweep(
            codec.check_sweep_name(name), codec.json_to_text(spec, "a sweep's `spec`"), float(time)
        )
        with self._lock:
            if name in self._sweeps:
                raise SweepExistsError(f"there is a sweep {name!r} already in {_PLACE}.")
            self._sweeps[name] = sweep
        return sweep.record()

    def delete(self, name: str) -> None:
        """Delete a sweep with all of its events (nothing happens if there is none)."""
        self._check()
        with self._lock:
            self._sweeps.pop(name, None)

    def read(self, name: str, after: int = 0) -> Iterator[Event]:
        """Yield a sweep's events with a sequence number above `after`, in order."""
        sweep = self._find(name)
        return iter(sweep.events[after:])

    @contextlib.contextmanager
    def transaction(self, name: str, *, durable: bool = False) -> Iterator[Transaction]:
        """Open a serial read-and-append transaction on one sweep (`durable` makes no difference here)."""
        sweep = self._find(name)
        if sweep.writer == threading.get_ident():
            raise StoreError(
                f"this thread has a transaction open on {_PLACE}: use that transaction's own `read` and "
                "`append`, or leave its block first."
            )
        with sweep.lock:
            sweep.writer = threading.get_ident()
            transaction = _MemoryTransaction(sweep)
            try:
                yield transaction
                transaction.commit()
            finally:
                transaction.over = True
                sweep.writer = None

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold the right to coordinate a sweep."""
        self._check()
        with self._lock:
            if name in self._held:
                raise SweepBusyError(
                    f"sweep {name!r} in {_PLACE} is being run by another coordinator in this process."
                )
            self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)

    def close(self) -> None:
        """Forget everything. A closed store cannot be used again."""
        self._sweeps.clear()
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise StoreError(f"{_PLACE} was closed: what it held is gone.")

    def _find(self, name: str) -> "_Sweep":
        self._check()
        sweep = self._sweeps.get(name)
        if sweep is None:
            raise no_such_sweep(name, _PLACE, list(self._sweeps))
        return sweep


class _Sweep:
    """A sweep's events; the event with the sequence number n is at n - 1."""

    def __init__(self, name: str, spec: str, created: float) -> None:
        self.name = name
        self.spec = spec
        self.created = created
        self.events: list[Event] = []
        self.reported: set[tuple[int, int, float]] = set()
        self.lock = threading.Lock()
        self.writer: int | None = None

    def record(self) -> SweepRecord:
        return SweepRecord(name=self.name, spec=codec.text_to_json(self.spec), created=self.created)


class _MemoryTransaction(Transaction):
    """Appends to a list of its own, which joins the sweep's when the block is left."""

    def __init__(self, sweep: _Sweep) -> None:
        self._sweep = sweep
        self._new: list[Event] = []
        self._reported: set[tuple[int, int, float]] = set()
        self._failed = False
        self.over = False

    def read(self, after: int = 0) -> Iterator[Event]:
        """Yield the sweep's events with a sequence number above `after`, in order."""
        self._check()
        old = len(self._sweep.events)
        return iter(self._sweep.events[after:] + self._new[max(0, after - old) :])

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Append events and return them with their sequence numbers."""
        self._check()
        try:
            return self._append(events)
        except BaseException:
            self._failed = True
            raise

    def commit(self) -> None:
        """Give the sweep what was appended."""
        if self._failed:
            raise StoreError("the transaction was undone, since an append in it failed.")
        self._sweep.reported |= self._reported
        self._sweep.events += self._new

    def _append(self, events: Sequence[Event]) -> list[Event]:
        appended = []
        for seq, event in enumerate(events, len(self._sweep.events) + len(self._new) + 1):
            row = codec.event_to_row(event)
            row["seq"] = seq
            appended.append(codec.row_to_event(type(event), row))
        keys = [(event.trial, event.leg, event.step) for event in appended if isinstance(event, Reported)]
        for key in keys:
            if key in self._reported or key in self._sweep.reported:
                raise StoreError(reported_already(events, f"trial {key[0]}, leg {key[1]}, step {key[2]:g}"))
            self._reported.add(key)
        self._new += appended
        return appended

    def _check(self) -> None:
        if self.over:
            raise StoreError("this transaction is over: open another one.")
