"""From what a user says (`store=...`) to a store."""

from pathlib import Path

from lightning_tune.errors import ArgumentError
from lightning_tune.store.base import Store
from lightning_tune.store.memory import MemoryStore
from lightning_tune.store.postgres import PostgresStore
from lightning_tune.store.sqlite import SQLiteStore

_SQLITE = "sqlite:///"
_TAKES = (
    "`store` takes the path of an SQLite file ('sweep.db' or 'sqlite:///sweep.db'), a database of PostgreSQL "
    "('postgresql://user:password@host/database'), a Store, or None for one in memory"
)


def open_store(where: "str | Path | Store | None") -> Store:
    """Open the store that a user names.

    An SQLite file, and the tables in PostgreSQL, are made if they are not there.

    Args:
        where: a path or `sqlite:///path` (four slashes for an absolute path), a `postgresql://` URL, a store
            (which is returned as it is), or None for a store in memory.

    Raises:
        ArgumentError: it names nothing of these.
        StoreError: it cannot be opened.
        MissingDependencyError: PostgreSQL's driver is not installed.

    Example:
        >>> with open_store(None) as store:
        ...     store.sweeps()
        []
    """
    if where is None:
        return MemoryStore()
    if isinstance(where, Store):
        return where
    if isinstance(where, Path):
        return SQLiteStore(where)
    if not isinstance(where, str):
        raise ArgumentError(f"{_TAKES}; got {type(where).__name__}.")
    return _open_text(where)


def _open_text(where: str) -> Store:
    scheme, separator, _ = where.partition("://")
    if where.startswith(_SQLITE) and where != _SQLITE:
        return SQLiteStore(where.removeprefix(_SQLITE))
    if separator and scheme.partition("+")[0] in ("postgresql", "postgres"):
        return PostgresStore(where)
    if separator:
        raise ArgumentError(f"{_TAKES}; got a URL that begins with {scheme + separator!r}.")
    if where in ("", ":memory:"):
        raise ArgumentError(f"{_TAKES}; got {where!r}.")
    return SQLiteStore(where)
