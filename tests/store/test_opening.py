"""What `store=` takes."""

import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_tune.errors import ArgumentError, MissingDependencyError, StoreError
from lightning_tune.store import MemoryStore, open_store
from lightning_tune.store.postgres import PostgresStore
from lightning_tune.store.sqlite import SQLiteStore


def test_nothing_is_memory() -> None:
    with open_store(None) as store:
        assert isinstance(store, MemoryStore)


def test_a_store_is_itself() -> None:
    store = MemoryStore()
    assert open_store(store) is store


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for where in (
        tmp_path / "a.db",
        str(tmp_path / "a.db"),
        "a.db",
        "~/a.db",
        "sqlite:///a.db",
        f"sqlite:///{tmp_path}/a.db",
    ):
        with open_store(where) as store:
            assert isinstance(store, SQLiteStore)
            assert store.path == tmp_path / "a.db"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "a.db-locks"]


def test_postgresql(postgres_url: str) -> None:
    for url in (postgres_url, postgres_url.replace("postgresql://", "postgresql+psycopg://")):
        with open_store(url) as store:
            assert isinstance(store, PostgresStore)
            assert store.sweeps() == []


@pytest.mark.parametrize(
    "where", ["", ":memory:", "sqlite://", "sqlite:///", "mysql://u:secret@h/d", "http://x", 3, b"a.db"]
)
def test_what_it_does_not_take(where: Any) -> None:
    with pytest.raises(ArgumentError, match="`store` takes the path of an SQLite file") as caught:
        open_store(where)
    assert "secret" not in str(caught.value)


def test_other_drivers_of_postgresql() -> None:
    with pytest.raises(ArgumentError, match=r"its driver is 'postgresql\+psycopg2'"):
        open_store("postgresql+psycopg2://u:secret@h/d")


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependencyError, match=r"PostgreSQL needs the package `psycopg`.*\[postgres\]"):
        open_store("postgresql://u:secret@127.0.0.1/d")


def test_errors_of_the_path_come_through(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        open_store(tmp_path / "nowhere" / "a.db")
