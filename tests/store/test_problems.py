"""Errors of a database as sentences that give nothing away."""

import sqlite3
import traceback

import pytest
from sqlalchemy.exc import IntegrityError, InvalidRequestError, OperationalError

from lightning_tune.core.events import Reported
from lightning_tune.errors import StoreError
from lightning_tune.store.problems import RecordedAlreadyError, explained, no_such_sweep, reported_already


def error_of(name: str, text: str = "the detail") -> OperationalError:
    cause = sqlite3.OperationalError(text)
    cause.sqlite_errorname = name
    return OperationalError("INSERT INTO secrets", {"password": "hunter2"}, cause)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SQLITE_BUSY", "locked by another program for 3 s"),
        ("SQLITE_BUSY_SNAPSHOT", "locked by another program"),
        ("SQLITE_FULL", "the disk of here is full (the detail)"),
        ("SQLITE_IOERR_WRITE", "cannot be read or written (the detail)"),
        ("SQLITE_NOTADB", "not an SQLite database"),
        ("SQLITE_CORRUPT", "is damaged (the detail)"),
        ("SQLITE_READONLY_DBMOVED", "cannot be written"),
        ("SQLITE_CANTOPEN", "cannot be opened"),
        ("SQLITE_SOMETHING", "here answered: the detail."),
    ],
)
def test_what_sqlite_says(name: str, words: str) -> None:
    with pytest.raises(StoreError) as caught, explained("here", 3.0):
        raise error_of(name)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("55P03", "locked by another process for 3 s"),
        ("53100", "is full"),
        ("42501", "needs CREATE"),
        ("XX000", "answered"),
    ],
)
def test_what_postgresql_says(state: str, words: str) -> None:
    cause = Exception("the detail")
    cause.sqlstate = state  # type: ignore[attr-defined]
    with pytest.raises(StoreError) as caught, explained("here", 3.0):
        raise OperationalError("SELECT 1", {}, cause)
    assert words in str(caught.value)


def test_neither_statements_nor_secrets_are_shown() -> None:
    with pytest.raises(StoreError) as caught, explained("here", secrets=["p%40ss", "p@ss"]):
        raise error_of("SQLITE_AUTH", "no entry\n with p@ss\n nor p%40ss")
    shown = "".join(traceback.format_exception(caught.value))
    assert str(caught.value) == "here answered: no entry with *** nor ***."
    for secret in ("p@ss\n", "hunter2", "INSERT INTO secrets"):
        assert secret not in shown.replace('raise error_of("SQLITE_AUTH", "no entry\\n with p@ss', "")


def test_braces_in_a_place_or_a_detail_are_text() -> None:
    with pytest.raises(StoreError, match=r"\{place\} is damaged \(\{timeout\}\)"), explained("{place}"):
        raise error_of("SQLITE_CORRUPT", "{timeout}")


def test_errors_of_sqlalchemy_itself_and_of_the_driver() -> None:
    with pytest.raises(StoreError, match="here answered: a closed transaction"), explained("here"):
        raise InvalidRequestError("a closed transaction")
    with pytest.raises(StoreError, match="here answered: OperationalError"), explained("here"):
        raise sqlite3.OperationalError


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), explained("here"):
        raise ZeroDivisionError


def test_a_row_that_is_there_already() -> None:
    with pytest.raises(RecordedAlreadyError, match="UNIQUE constraint failed"), explained("here"):
        raise IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed: t.a"))


def test_the_sentence_for_a_report() -> None:
    report = Reported(4, 1, 2.5, (0.0,), 0.0)
    assert reported_already([report], "x") == "trial 4 has already reported step 2.5 in its leg 1."
    assert reported_already([report, report], "x") == "one of 2 reports to append is there already: x"


def test_the_sweeps_that_there_are() -> None:
    assert "it holds no sweep yet" in str(no_such_sweep("a", "here", []))
    assert "it holds 'b', 'c'." in str(no_such_sweep("a", "here", ["b", "c"]))
    assert str(no_such_sweep("a", "here", ["b"] * 11)).endswith("'b', ....")
