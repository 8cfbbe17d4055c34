"""What went wrong with a database, in a sentence that names the place and says what to do.

SQLAlchemy's own messages show statements with their parameters, and a driver's may show a whole URL: neither
gets out. Only the database's own line is quoted, with the password taken out of it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from lightning_tune.core.events import Event, Reported
from lightning_tune.errors import StoreError

_SQLITE = {
    "SQLITE_BUSY": "{place} has been locked by another program for {timeout:g} s. Close that program, or "
    "wait until it is done, and start again: nothing that was recorded is lost.",
    "SQLITE_FULL": "the disk of {place} is full ({detail}). What was recorded is safe; free some space and "
    "go on.",
    "SQLITE_IOERR": "{place} cannot be read or written ({detail}): is the disk full, over a quota, or "
    "failing? What was recorded is safe unless the disk is damaged; mend that and go on.",
    "SQLITE_NOTADB": "{place} is not an SQLite database. Give the path of a sweep's own file, or of a new "
    "one.",
    "SQLITE_CORRUPT": "{place} is damaged ({detail}): it was cut short or overwritten. Put back a copy that "
    "`backup()` made, or save what can be read with `sqlite3 <file> .recover`.",
    "SQLITE_READONLY": "{place} cannot be written ({detail}). Give yourself the right to write the file and "
    "its folder, or use another path.",
    "SQLITE_CANTOPEN": "{place} cannot be opened ({detail}). Does its folder exist, and may you write there?",
}
_SQLITE["SQLITE_LOCKED"] = _SQLITE["SQLITE_PROTOCOL"] = _SQLITE["SQLITE_BUSY"]
_POSTGRES = {
    "55P03": "{place}: the sweep has been locked by another process for {timeout:g} s. Wait until it is "
    "done, or end it, and start again: nothing that was recorded is lost.",
    "53100": "the disk of {place} is full ({detail}). What was recorded is safe; free some space and go on.",
    "42501": "{place}: no right to do that ({detail}). The sweep's user needs CREATE on the schema, and the "
    "tables that begin with `tune_`.",
}


class RecordedAlreadyError(StoreError):
    """A row that may be there only once was there already."""


@contextlib.contextmanager
def explained(place: str, timeout_s: float = 0.0, secrets: Sequence[str] = ()) -> Iterator[None]:
    """Turn every error of the database into a `StoreError`.

    Args:
        place: the file or database, as the subject of a sentence.
        timeout_s: how long a lock is waited for.
        secrets: what may not be shown.

    Raises:
        StoreError: the block raised an error of SQLAlchemy or of the driver.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause: BaseException = (error.orig or error) if isinstance(error, DBAPIError) else error
        detail = _detail(cause, secrets)
        if isinstance(error, IntegrityError):
            raise RecordedAlreadyError(f"{place} has that already ({detail}).") from None
        raise StoreError(_sentence(cause).format(place=place, detail=detail, timeout=timeout_s)) from None


def no_such_sweep(name: str, place: str, names: Sequence[str]) -> StoreError:
    """Return the error that says which sweeps there are."""
    listed = ", ".join(repr(other) for other in names[:10]) + (", ..." if len(names) > 10 else "")
    return StoreError(f"there is no sweep {name!r} in {place}; it holds {listed or 'no sweep yet'}.")


def reported_already(events: Sequence[Event], detail: str) -> str:
    """Return the sentence for a report that is there already."""
    reports = [event for event in events if isinstance(event, Reported)]
    if len(reports) == 1:
        report = reports[0]
        return f"trial {report.trial} has already reported step {report.step:g} in its leg {report.leg}."
    return f"one of {len(reports)} reports to append is there already: {detail}"


def _detail(cause: BaseException, secrets: Sequence[str]) -> str:
    detail = " ".join(str(cause).split()).rstrip(".?") or type(cause).__name__
    for secret in secrets:
        detail = detail.replace(secret, "***")
    return detail


def _sentence(cause: BaseException) -> str:
    name = getattr(cause, "sqlite_errorname", None) or ""
    found = next((text for start, text in _SQLITE.items() if name.startswith(start)), None)
    return found or _POSTGRES.get(getattr(cause, "sqlstate", None) or "") or "{place} answered: {detail}."
