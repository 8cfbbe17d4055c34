"""A store in one SQLite file, for any number of processes on one machine.

Files: `<name>` (0600), SQLite's `<name>-wal` and `<name>-shm` while it is open, and the folder `<name>-locks`
(0700).

- Write-ahead log with `synchronous=NORMAL`: a commit survives a kill of the process; with `durable=True` it
  is `FULL` and survives a power cut too, with everything that was committed before it.
- Every write transaction holds our own lock file besides SQLite's lock. Versions of SQLite before 3.51.3 can
  corrupt the log when one connection checkpoints while another writes or checkpoints. So automatic
  checkpoints are off, and we checkpoint (move the log's pages into the file) while we hold the lock file:
  after the commit that made the log longer than 4 MiB, and on closing. A checkpoint never waits for readers;
  what it could not do is left to the next one.
"""

import contextlib
import hashlib
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.pool import NullPool

from lightning_tune.errors import StoreError, SweepBusyError
from lightning_tune.store.locks import FileLock
from lightning_tune.store.problems import explained
from lightning_tune.store.schema import prepare_schema, schema_is_ready
from lightning_tune.store.sql import FIND_SWEEP, Session, SqlStore, found

_CHECKPOINT_BYTES = 4 << 20
_creating = threading.Lock()


class _Session(Session):
    """A connection with its own open lock file, and what it knows about both."""

    def __init__(self, connection: Connection, lock: FileLock) -> None:
        super().__init__(connection)
        self.lock = lock
        self.durable = False
        self.checkpoint_at = _CHECKPOINT_BYTES

    def pragma(self, text: str) -> object:
        """Run a pragma outside of any transaction and return the first column of its answer."""
        connection: Any = self.connection.connection.driver_connection
        row = connection.execute(f"PRAGMA {text}").fetchone()
        return None if row is None else row[0]


class SQLiteStore(SqlStore[_Session]):
    """Sweeps in an SQLite file, which is made if it is not there; its folder must be there.

    Args:
        path: the file.
        busy_timeout_s: how long to wait for another process that is writing.

    Raises:
        StoreError: the file cannot be opened, is damaged or no store of ours, or a newer lightning-tune wrote
            it.

    Example:
        >>> import tempfile
        >>> with SQLiteStore(Path(tempfile.mkdtemp()) / "sweep.db") as store:
        ...     store.create("digits", {"monitor": "val_acc"}, time=0.0).name
        'digits'
    """

    window = 1_000  # so few that they are folded and gone before the garbage collector looks at them

    def __init__(self, path: str | Path, *, busy_timeout_s: float = 30.0) -> None:
        self.path = Path(path).expanduser().resolve()
        place = f"the store {self.path}"
        engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool)
        event.listen(engine, "begin", _begin)
        super().__init__(engine, place, busy_timeout_s)
        self._locks = self.path.with_name(self.path.name + "-locks")
        self._log = f"{self.path}-wal"
        _make_files(self.path, self._locks, place)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self.path)!r})"

    def backup(self, target: str | Path) -> Path:
        """Copy the whole database to a new file, consistently, while others may be writing.

        Raises:
            StoreError: the target is there already or cannot be written.
        """
        copy = Path(target).expanduser().resolve()
        connection = self._session().connection
        try:
            _make_file(copy, f"the copy {copy}")
        except FileExistsError:
            raise StoreError(f"{copy} is there already: give `backup` the path of a new file.") from None
        try:
            with explained(f"the copy {copy}"), contextlib.closing(sqlite3.connect(copy)) as destination:
                destination.execute("PRAGMA journal_mode=OFF")  # a new file has nothing to roll back to
                source: Any = connection.connection.driver_connection
                source.backup(destination)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        return copy

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold the right to coordinate a sweep (one process at a time; a killed process loses it at once)."""
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
        lock = FileLock(self._locks / f"{digest[:32]}.lock")
        try:
            try:
                held = lock.acquire(timeout_s=0)
            except OSError as error:
                raise StoreError(f"{self._place}: its lock cannot be taken ({error}).") from error
            if not held:
                holder = lock.read_holder() or "another process"
                raise SweepBusyError(
                    f"sweep {name!r} in {self.path} is being run by {holder}: wait until it is done, end it, "
                    "or give this sweep another name."
                )
            # where the disk is full the lock is held, and only the line that says by whom is missing
            with contextlib.suppress(OSError):
                lock.write_holder(f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            lock.close()

    # -- what SQLite does in its own way ---------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for pragma in ("foreign_keys=ON", "wal_autocheckpoint=0", "synchronous=NORMAL"):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _open_session(self) -> _Session:
        return _Session(self._engine.connect(), FileLock(self._locks / "write.lock"))

    def _begin_writing(self, session: _Session, durable: bool) -> None:
        self._lock(session)
        if durable != session.durable:
            session.pragma(f"synchronous={'FULL' if durable else 'NORMAL'}")
            session.durable = durable
        session.connection.info["tune_begin"] = "BEGIN IMMEDIATE"
        session.connection.begin()

    def _end_writing(self, session: _Session) -> None:
        if session.connection.closed:  # it broke, and its lock went with it
            return
        try:
            self._checkpoint(session)
        finally:
            session.lock.release()

    def _lock_sweep(self, connection: Connection, name: str, durable: bool) -> tuple[int, int] | None:
        return found(connection.execute(FIND_SWEEP, {"name": name}).first())

    def _close_session(self, session: _Session) -> None:
        """Close under the lock, since the last connection to close makes a checkpoint."""
        # where the lock file cannot be had, SQLite's own lock is all there is
        with contextlib.suppress(OSError):
            session.lock.acquire(timeout_s=0 if session.writing else self._busy_timeout_s)
        session.close()
        session.lock.close()

    def _lock(self, session: _Session) -> None:
        try:
            locked = session.lock.acquire(self._busy_timeout_s)
        except OSError as error:
            raise StoreError(f"{self._place}: its lock cannot be taken ({error}).") from error
        if not locked:
            raise StoreError(
                f"{self._place} has been locked by another process for {self._busy_timeout_s:g} s. Wait "
                "until it is done, or end it, and start again: nothing that was recorded is lost."
            )

    def _checkpoint(self, session: _Session) -> None:
        try:
            length = os.stat(self._log).st_size
        except OSError:
            return  # there is no log, or nothing to be known about it
        if length < session.checkpoint_at:
            return
        # where the disk is full the commit is safe in the log, and the next try comes when it is 4 MiB longer
        with contextlib.suppress(sqlite3.Error, OSError):
            session.pragma("busy_timeout=0")
            session.pragma("wal_checkpoint(TRUNCATE)")
            length = os.stat(self._log).st_size
        session.pragma(f"busy_timeout={round(self._busy_timeout_s * 1000)}")
        session.checkpoint_at = length + _CHECKPOINT_BYTES

    def _prepare(self) -> None:
        """Check the tables; make them, and switch to the write-ahead log, where they are not there."""
        with self._reading() as connection:
            ready = schema_is_ready(connection, self._place)
            others = [] if ready else inspect(connection).get_table_names()
        if others:
            raise StoreError(
                f"{self._place} is the database of another program (it has a table {others[0]!r}): use "
                "another path."
            )
        if not ready:
            self._switch_to_log()
            with self._writing(durable=True) as session:
                prepare_schema(session.connection)

    def _switch_to_log(self) -> None:
        session = self._session()
        with self._explained():
            self._lock(session)
            try:
                mode = session.pragma("journal_mode=WAL")
            finally:
                session.lock.release()
        if mode != "wal":
            raise StoreError(
                f"{self._place} lies on a file system that cannot keep SQLite's write-ahead log (a network "
                "drive?): use a local path, or PostgreSQL."
            )


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.info.pop("tune_begin", "BEGIN"))


def _make_files(path: Path, locks: Path, place: str) -> None:
    """Make the database file and the folder of lock files where they are not there, private to the user."""
    if not path.parent.is_dir():
        raise StoreError(f"{place} cannot be made: there is no folder {path.parent}. Make it first.")
    if path.exists() and not path.is_file():
        raise StoreError(f"{place} is no file. Give the path of a file, such as {path / 'sweep.db'}.")
    with _creating, contextlib.suppress(FileExistsError):
        _make_file(path, place)
    effective = os.access in os.supports_effective_ids
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=effective):
        raise StoreError(f"{place} may not be read and written by you: change its mode, or use another path.")
    try:
        locks.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _cannot_make(place, path.parent, error) from error


def _make_file(path: Path, place: str) -> None:
    # only a new file: to open and close one that SQLite has open would drop SQLite's locks on it
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise
    except OSError as error:
        raise _cannot_make(place, path.parent, error) from error


def _cannot_make(place: str, folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{place} cannot be made in {folder} ({error.strerror}): give yourself the right to write there, "
        "free some space, or use another path."
    )
