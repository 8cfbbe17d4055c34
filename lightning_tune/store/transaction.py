"""Appending to, and reading from, one sweep's tables over a connection that is in a transaction."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter

from sqlalchemy import Connection, bindparam, insert, select, update

from lightning_tune.core.events import Event
from lightning_tune.errors import StoreError
from lightning_tune.store import codec
from lightning_tune.store.base import Transaction
from lightning_tune.store.problems import RecordedAlreadyError, reported_already
from lightning_tune.store.schema import EVENT_TABLES, SWEEPS

_INSERTS = {kind: insert(table) for kind, table in EVENT_TABLES.items()}
_SELECTS = {
    kind: select(*(table.c[name] for name in codec.columns(kind))).where(
        table.c.sweep == bindparam("sweep"), table.c.seq > bindparam("low"), table.c.seq <= bindparam("high")
    )
    for kind, table in EVENT_TABLES.items()
}
_COUNT = update(SWEEPS).where(SWEEPS.c.id == bindparam("sweep")).values(seq=bindparam("last"))
_seq_of = attrgetter("seq")


class SqlTransaction(Transaction):
    """A write transaction on one sweep, whose row is locked and had the counter `seq`."""

    def __init__(
        self,
        connection: Connection,
        explain: Callable[[], AbstractContextManager[None]],
        sweep: int,
        seq: int,
    ) -> None:
        self._connection = connection
        self._explain = explain
        self._sweep = sweep
        self._before = self._seq = seq
        self._failed = False
        self.over = False

    def read(self, after: int = 0) -> Iterator[Event]:
        """Yield the sweep's events with a sequence number above `after`, in order."""
        self._check()
        with self._explain():
            return iter(read_window(self._connection, self._sweep, after, self._seq))

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Append events and return them with their sequence numbers."""
        self._check()
        try:
            return self._append(events)
        except BaseException:
            self._failed = True
            raise

    def finish(self) -> None:
        """Write the sweep's counter, the last thing before the commit."""
        if self._failed:
            raise StoreError("the transaction was undone, since an append in it failed.")
        if self._seq != self._before:
            self._connection.execute(_COUNT, {"sweep": self._sweep, "last": self._seq})

    def _append(self, events: Sequence[Event]) -> list[Event]:
        rows: dict[type[Event], list[codec.Row]] = {}
        appended = []
        for seq, event in enumerate(events, self._seq + 1):
            row = codec.event_to_row(event)
            row["seq"] = seq
            appended.append(codec.row_to_event(type(event), row))
            row["sweep"] = self._sweep
            rows.setdefault(type(event), []).append(row)
        try:
            with self._explain():
                for kind, kind_rows in rows.items():
                    self._connection.execute(
                        _INSERTS[kind], kind_rows if len(kind_rows) > 1 else kind_rows[0]
                    )
        except RecordedAlreadyError as error:
            raise StoreError(reported_already(events, str(error))) from None
        self._seq += len(appended)
        return appended

    def _check(self) -> None:
        if self.over:
            raise StoreError("this transaction is over: open another one.")


def read_window(connection: Connection, sweep: int, low: int, high: int) -> list[Event]:
    """Return a sweep's events with low < seq <= high, merged from all tables by `seq`."""
    events: list[Event] = []
    if low < high:
        window = {"sweep": sweep, "low": low, "high": high}
        for kind, statement in _SELECTS.items():
            rows = connection.execute(statement, window).fetchall()
            try:
                events += codec.rows_to_events(kind, rows)
            except (TypeError, ValueError) as error:
                raise StoreError(
                    f"a row of the table {EVENT_TABLES[kind].name} cannot be read ({error}): the database is "
                    "damaged, or was edited by hand. Put back a copy of it."
                ) from error
    events.sort(key=_seq_of)
    return events
