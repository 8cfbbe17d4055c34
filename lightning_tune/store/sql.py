"""What SQLite and PostgreSQL have in common: sweeps, transactions and reading, in SQLAlchemy Core.

Each thread has one kept connection (half the cost of a transaction would otherwise be taking one from a
pool). A child made by `fork` never uses, nor closes, a connection of its parent: it opens its own.

Reading needs no long transaction. A sweep's events never change and their numbers have no gaps, so they are
read in windows of numbers, up to the counter that the sweep's row had at the beginning; a gap means damage,
and says so.
"""

import contextlib
import os
import threading
import weakref
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import Connection, Engine, bindparam, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from lightning_tune.core.events import JSON, Event
from lightning_tune.errors import StoreError, SweepExistsError
from lightning_tune.store import codec
from lightning_tune.store.base import Store, SweepRecord, Transaction
from lightning_tune.store.problems import RecordedAlreadyError, explained, no_such_sweep
from lightning_tune.store.schema import SWEEPS
from lightning_tune.store.transaction import SqlTransaction, read_window

FIND_SWEEP = select(SWEEPS.c.id, SWEEPS.c.seq).where(SWEEPS.c.name == bindparam("name"))
_RECORDS = select(SWEEPS.c.name, SWEEPS.c.spec, SWEEPS.c.created).order_by(SWEEPS.c.id)
_parents: list[object] = []  # connections of a parent process: kept, since to drop one is to close it


class Session:
    """One thread's connection; `writing` while the thread is inside a write transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.writing = False

    def close(self) -> None:
        """Close the connection, broken or not."""
        with contextlib.suppress(SQLAlchemyError):  # there is nothing left that it could lose
            self.connection.close()


SessionT = TypeVar("SessionT", bound=Session)


class SqlStore(Store, Generic[SessionT]):
    """A store in an SQL database; what differs between databases is in the abstract methods.

    Args:
        engine: where connections come from.
        place: the database, as the subject of a sentence, without a password.
        busy_timeout_s: how long to wait for another process that is writing.
        secrets: what no message may show.
    """

    def __init__(
        self, engine: Engine, place: str, busy_timeout_s: float, secrets: Sequence[str] = ()
    ) -> None:
        self._engine = engine
        self._place = place
        self._busy_timeout_s = busy_timeout_s
        self._secrets = secrets
        self._sessions: dict[int, SessionT] = {}
        self._closed = False
        _open_stores.add(self)

    window: ClassVar[int]
    """How many events are read at once."""

    # -- what a database does in its own way -----------------------------------------------------------------

    @abstractmethod
    def _open_session(self) -> SessionT:
        """Open a connection for this thread."""

    @abstractmethod
    def _begin_writing(self, session: SessionT, durable: bool) -> None:
        """Begin a write transaction."""

    @abstractmethod
    def _end_writing(self, session: SessionT) -> None:
        """Let others write: the transaction was committed or rolled back."""

    @abstractmethod
    def _lock_sweep(self, connection: Connection, name: str, durable: bool) -> tuple[int, int] | None:
        """Return (id, seq) of a sweep that nobody else can write to until the transaction ends."""

    # -- the contract ----------------------------------------------------------------------------------------

    def sweeps(self) -> list[SweepRecord]:
        """Return every sweep, oldest first."""
        with self._reading() as connection:
            return [_record(row) for row in connection.execute(_RECORDS)]

    def sweep(self, name: str) -> SweepRecord | None:
        """Return one sweep, or None."""
        with self._reading() as connection:
            row = connection.execute(_RECORDS.where(SWEEPS.c.name == codec.escape(name))).first()
        return None if row is None else _record(row)

    def create(self, name: str, spec: dict[str, JSON], time: float) -> SweepRecord:
        """Create an empty sweep."""
        row: codec.Row = {
            "name": codec.escape(codec.check_sweep_name(name)),
            "spec": codec.json_to_text(spec, "a sweep's `spec`"),
            "created": float(time),
            "seq": 0,
        }
        try:
            with self._writing(durable=True) as session:
                session.connection.execute(insert(SWEEPS), row)
        except RecordedAlreadyError:
            raise SweepExistsError(f"there is a sweep {name!r} already in {self._place}.") from None
        return SweepRecord(name=name, spec=codec.text_to_json(row["spec"]), created=row["created"])

    def delete(self, name: str) -> None:
        """Delete a sweep with all of its events (nothing happens if there is none)."""
        with self._writing(durable=True) as session:
            session.connection.execute(delete(SWEEPS).where(SWEEPS.c.name == codec.escape(name)))

    def read(self, name: str, after: int = 0) -> Iterator[Event]:
        """Yield a sweep's events with a sequence number above `after`, in order."""
        with self._reading() as connection:
            sweep = found(connection.execute(FIND_SWEEP, {"name": codec.escape(name)}).first())
        if sweep is None:
            raise self._missing(name)
        return self._windows(sweep[0], after, sweep[1])

    @contextlib.contextmanager
    def transaction(self, name: str, *, durable: bool = False) -> Iterator[Transaction]:
        """Open a serial read-and-append transaction on one sweep."""
        with self._writing(durable) as session:
            with self._explained():
                locked = self._lock_sweep(session.connection, codec.escape(name), durable)
            if locked is None:
                raise self._missing(name, session.connection)
            transaction = SqlTransaction(session.connection, self._explained, *locked)
            try:
                yield transaction
                transaction.finish()
            finally:
                transaction.over = True

    def close(self) -> None:
        """Release connections. A closed store cannot be used again."""
        self._closed = True
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            self._close_session(session)

    # -- connections -----------------------------------------------------------------------------------------

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._place, self._busy_timeout_s, self._secrets)

    def _session(self) -> SessionT:
        """Return this thread's session, unless it is inside a write transaction."""
        if self._closed:
            raise StoreError(f"{self._place} was closed: open it again with `open_store`.")
        session = self._sessions.get(threading.get_ident())
        if session is None:
            with self._explained():
                session = self._sessions[threading.get_ident()] = self._open_session()
        if session.writing:
            raise StoreError(
                f"this thread has a transaction open on {self._place}: use that transaction's own `read` and "
                "`append`, or leave its block first."
            )
        return session

    def _close_session(self, session: SessionT) -> None:
        session.close()

    def _discard(self, session: SessionT) -> None:
        """Drop a connection that may be broken; the next call opens a new one."""
        self._sessions.pop(threading.get_ident(), None)
        self._close_session(session)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        session = self._session()
        with self._explained():
            try:
                with session.connection.begin():
                    yield session.connection
            except SQLAlchemyError:
                self._discard(session)
                raise

    @contextlib.contextmanager
    def _writing(self, durable: bool) -> Iterator[SessionT]:
        session = self._session()
        session.writing = True
        try:
            with self._explained():
                try:
                    self._begin_writing(session, durable)
                except BaseException:
                    self._discard(session)
                    raise
            with self._explained():
                try:
                    yield session
                    session.connection.commit()
                except BaseException:
                    self._roll_back(session)
                    raise
                finally:
                    self._end_writing(session)
        finally:
            session.writing = False

    def _roll_back(self, session: SessionT) -> None:
        try:
            session.connection.rollback()
        except SQLAlchemyError:
            self._discard(session)
        else:
            if session.connection.invalidated:
                self._discard(session)

    # -- reading ---------------------------------------------------------------------------------------------

    def _windows(self, sweep: int, after: int, last: int) -> Iterator[Event]:
        for low in range(after, last, self.window):
            high = min(low + self.window, last)
            with self._reading() as connection:
                events = read_window(connection, sweep, low, high)
            if len(events) != high - low:
                raise StoreError(
                    f"{self._place}: events {low + 1} to {high} of the sweep are not all "
                    "there. Either it was deleted just now, or the database is damaged: put back a copy of "
                    "it."
                )
            yield from events

    def _missing(self, name: str, connection: Connection | None = None) -> StoreError:
        if connection is None:
            names = [record.name for record in self.sweeps()]
        else:
            names = [_record(row).name for row in connection.execute(_RECORDS)]
        return no_such_sweep(name, self._place, names)


_open_stores: "weakref.WeakSet[SqlStore[Any]]" = weakref.WeakSet()


def keep_for_parent(connection: object) -> None:
    """Never close a connection in this process: it belongs to the parent that this one was forked from."""
    _parents.append(connection)


def _begin_anew_in_child() -> None:
    for store in list(_open_stores):
        keep_for_parent(store._sessions)
        store._sessions = {}


os.register_at_fork(after_in_child=_begin_anew_in_child)


def found(row: Any) -> tuple[int, int] | None:
    """Return the (id, seq) of a row of `FIND_SWEEP` (whose type differs by SQLAlchemy's version)."""
    return None if row is None else (row.id, row.seq)


def _record(row: Any) -> SweepRecord:
    return SweepRecord(name=codec.unescape(row.name), spec=codec.text_to_json(row.spec), created=row.created)
