"""Appending to the tables: the counter and the rows."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from lightning_tune.core.events import Reported
from lightning_tune.errors import StoreError
from lightning_tune.store.schema import EVENT_TABLES
from lightning_tune.store.sqlite import SQLiteStore
from lightning_tune.testing.store_contract import one_of_each


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def test_the_counter_is_the_last_number(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with SQLiteStore(path) as store:
        store.create("a", {}, 0.0)
        store.create("b", {}, 0.0)
        with store.transaction("b") as transaction:
            transaction.append(one_of_each()[:4])
            transaction.append(one_of_each()[4:])
        assert [row[-1] for row in rows(path, "tune_sweeps")] == [0, len(one_of_each())]


def test_each_event_goes_to_the_table_of_its_type(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with SQLiteStore(path) as store:
        store.create("a", {}, 0.0)
        store.append("a", one_of_each())
    for kind, table in EVENT_TABLES.items():
        numbers = sorted(row[1] for row in rows(path, table.name))  # type: ignore[type-var]
        expected = [seq for seq, event in enumerate(one_of_each(), 1) if type(event) is kind]
        assert numbers == expected


def test_a_report_can_be_read_with_plain_sql(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with SQLiteStore(path) as store:
        store.create("a", {}, 0.0)
        nan = float("nan")
        store.append(
            "a", [Reported(3, 1, 2.0, (0.5,), 9.0, '{"x": 1}'), Reported(3, 1, 3.0, (nan, 2.0), 9.5)]
        )
    assert rows(path, "tune_reports") == [
        (1, 1, 3, 1, 2.0, 0.5, 9.0, '{"x": 1}', None),
        (1, 2, 3, 1, 3.0, None, 9.5, "{}", '["2.0"]'),
    ]


def test_a_report_that_is_there_is_found_among_many(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "x.db") as store:
        store.create("a", {}, 0.0)
        reports = [Reported(0, 0, float(step), (0.0,), 0.0) for step in range(5)]
        store.append("a", reports[2:3])
        with pytest.raises(StoreError, match="one of 5 reports to append is there already"):
            store.append("a", reports)
        assert len(list(store.read("a"))) == 1


@pytest.mark.parametrize("change", ["tune_trials SET config = '{'", "tune_reports SET more = '[\"x\"]'"])
def test_a_row_that_was_edited_by_hand(tmp_path: Path, change: str) -> None:
    path = tmp_path / "x.db"
    with SQLiteStore(path) as store:
        store.create("a", {}, 0.0)
        store.append("a", one_of_each())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {change}")
    table = change.partition(" ")[0]
    with (
        SQLiteStore(path) as store,
        pytest.raises(StoreError, match=f"row of the table {table} cannot be read"),
    ):
        list(store.read("a"))
