"""A store in a PostgreSQL database, for processes on any number of machines.

A write transaction locks the sweep's own row, so sweeps do not wait for one another. `durable=True` commits
as the server is configured (by default: on the disk); other commits do not wait for the disk, so a crash of
the *server* may lose its last fraction of a second, a kill of this process nothing. The right to coordinate a
sweep is an advisory lock of a connection of its own, which the server gives back as soon as that connection
ends.
"""

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Connection, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError as UrlError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from lightning_tune._imports import require
from lightning_tune.errors import ArgumentError, StoreError, SweepBusyError
from lightning_tune.store.schema import prepare_schema, schema_is_ready
from lightning_tune.store.sql import FIND_SWEEP, Session, SqlStore, found, keep_for_parent

_DRIVERS = ("postgresql", "postgres", "postgresql+psycopg")
_SECRET_QUERY = ("password", "sslpassword")
_PREPARING = 0x74756E65  # the advisory lock under which the tables are made
_LOCK_RELAXED = FIND_SWEEP.add_columns(
    func.set_config("synchronous_commit", "off", True)  # until the transaction ends
).with_for_update()
_LOCK_DURABLE = FIND_SWEEP.with_for_update()


class PostgresStore(SqlStore[Session]):
    """Sweeps in a PostgreSQL database (encoding UTF8), in tables that begin with `tune_`.

    Args:
        url: `postgresql://user:password@host:port/database`; libpq's own parameters may follow after `?`.
        busy_timeout_s: how long to wait for another process that is writing to the same sweep.

    Raises:
        ArgumentError: the URL cannot be read.
        MissingDependencyError: psycopg is not installed.
        StoreError: the database cannot be reached, or a newer lightning-tune made its tables.
    """

    window = 10_000  # each is a round trip for every table

    def __init__(self, url: str, *, busy_timeout_s: float = 30.0) -> None:
        parsed = _parse(url)
        require("psycopg", "postgres", "a store in PostgreSQL")
        options: dict[str, Any] = {"connect_timeout": 10, "application_name": _who()}
        given = {name: value for name, value in options.items() if name not in parsed.query}
        engine = create_engine(parsed, poolclass=NullPool, connect_args=given)
        self._lock_timeout = f"SET lock_timeout = {max(1, round(busy_timeout_s * 1000))}"
        event.listen(engine, "connect", self._set_up)
        self._label = _label(parsed)
        super().__init__(engine, f"the store {self._label}", busy_timeout_s, _secrets(parsed))
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"PostgresStore({self._label!r})"

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold the right to coordinate a sweep (one process at a time; a killed process loses it at once)."""
        with self._explained():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        pid = os.getpid()
        try:
            with self._explained():
                schema = connection.scalar(select(func.current_schema()))
                key = _advisory_key(schema, name)
                held = connection.scalar(select(func.pg_try_advisory_lock(key)))
                holder = None if held else _holder(connection, key)
            if not held:
                raise SweepBusyError(
                    f"sweep {name!r} in {self._label} is being run by {holder or 'another process'}: wait "
                    "until it is done, end it, or give this sweep another name."
                )
            yield
        finally:
            if os.getpid() != pid:
                keep_for_parent(connection)
            else:
                with contextlib.suppress(SQLAlchemyError):  # a broken connection has lost the lock already
                    connection.close()

    # -- what PostgreSQL does in its own way -----------------------------------------------------------------

    def _set_up(self, connection: Any, record: object) -> None:  # noqa: ANN401 - psycopg's connection
        with connection.cursor() as cursor:
            cursor.execute(self._lock_timeout)
        connection.commit()

    def _open_session(self) -> Session:
        return Session(self._engine.connect())

    def _begin_writing(self, session: Session, durable: bool) -> None:
        session.connection.begin()

    def _end_writing(self, session: Session) -> None:
        """Do nothing: the sweep's row was unlocked by the commit."""

    def _lock_sweep(self, connection: Connection, name: str, durable: bool) -> tuple[int, int] | None:
        statement = _LOCK_DURABLE if durable else _LOCK_RELAXED
        return found(connection.execute(statement, {"name": name}).first())

    def _prepare(self) -> None:
        with self._reading() as connection:
            encoding = connection.scalar(select(func.current_setting("server_encoding")))
            ready = schema_is_ready(connection, self._place)
        if encoding != "UTF8":
            raise StoreError(
                f"{self._place} has the encoding {encoding}, which cannot hold every text: make the database "
                "with ENCODING 'UTF8'."
            )
        if not ready:
            with self._writing(durable=True) as session:
                session.connection.execute(select(func.pg_advisory_xact_lock(_PREPARING)))
                prepare_schema(session.connection)


def _parse(url: str) -> URL:
    problem = "it cannot be read"
    try:
        parsed = make_url(url)
        if parsed.drivername in _DRIVERS:
            return parsed.set(drivername="postgresql+psycopg")
        problem = f"its driver is {parsed.drivername!r}"
    except (UrlError, ValueError):  # its text may quote the URL, with the password
        problem += " (are `@`, `:` and `/` in the password written as %40, %3A and %2F?)"
    raise ArgumentError(
        f"a PostgreSQL store takes a URL like postgresql://user:password@host:5432/database, but {problem}."
    ) from None


def _label(url: URL) -> str:
    """Return the URL with the user, but with neither the password nor any parameter."""
    return URL.create(
        "postgresql", username=url.username, host=url.host, port=url.port, database=url.database
    ).render_as_string()


def _secrets(url: URL) -> list[str]:
    values: list[str] = [] if url.password is None else [str(url.password)]
    for name in _SECRET_QUERY:
        found = url.query.get(name, ())
        values += [found] if isinstance(found, str) else found
    forms = {form for value in values if value for form in (value, quote(value, safe=""), quote_plus(value))}
    return sorted(forms, key=len, reverse=True)


def _who() -> str:
    return f"lightning-tune process {os.getpid()} on {socket.gethostname()}"[:63]


def _advisory_key(schema: str | None, name: str) -> int:
    text = f"{schema}\0{name}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big", signed=True)


def _holder(connection: Connection, key: int) -> str | None:
    """Return the application name of the connection that has an advisory lock."""
    unsigned = key % 2**64
    return connection.exec_driver_sql(
        "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = "
        "'advisory' AND l.granted AND l.classid = %(high)s::bigint::oid AND l.objid = %(low)s::bigint::oid "
        "AND l.objsubid = 1 AND l.database = (SELECT oid FROM pg_database WHERE datname = "
        "current_database())",
        {"high": unsigned >> 32, "low": unsigned % 2**32},
    ).scalar()
