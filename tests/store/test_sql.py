"""What SQLite and PostgreSQL have in common, seen through two stores on one file."""

import threading
from pathlib import Path

import pytest

from lightning_tune.core.events import StopRequested
from lightning_tune.errors import StoreError, SweepExistsError
from lightning_tune.store.sqlite import SQLiteStore
from lightning_tune.testing.store_contract import numbered, one_of_each, same


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweep.db"


@pytest.mark.parametrize("window", [1, 3, 13, 14, 15, 100])
def test_windows_of_any_size(path: Path, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(SQLiteStore, "window", window)
    with SQLiteStore(path) as store:
        store.create("a", {}, 0.0)
        store.append("a", one_of_each())
        for after in range(len(one_of_each()) + 2):
            assert same(list(store.read("a", after)), numbered(one_of_each())[after:])


def test_a_thread_keeps_its_connection(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.create("a", {}, 0.0)
        mine = store._session()
        store.append("a", one_of_each())
        assert list(store.read("a"))
        assert store._session() is mine
        others = []
        thread = threading.Thread(target=lambda: others.append(store._session()))
        thread.start()
        thread.join()
        assert others[0] is not mine


def test_one_store_sees_what_another_one_committed(path: Path) -> None:
    with SQLiteStore(path) as first, SQLiteStore(path) as second:
        first.create("a", {"x": 1}, 0.0)
        assert second.sweeps() == first.sweeps()
        with first.transaction("a") as transaction:
            transaction.append(one_of_each()[:3])
            assert list(second.read("a")) == []
        assert len(list(second.read("a"))) == 3
        assert [event.seq for event in second.append("a", one_of_each()[3:5])] == [4, 5]
        assert [event.seq for event in first.read("a", 3)] == [4, 5]


def test_of_two_that_create_one_sweep_one_is_told(path: Path) -> None:
    outcomes: list[str] = []
    with SQLiteStore(path) as store:

        def create() -> None:
            try:
                store.create("a", {}, 0.0)
                outcomes.append("created")
            except SweepExistsError:
                outcomes.append("exists")

        threads = [threading.Thread(target=create) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["created", *["exists"] * 4]
        assert len(store.sweeps()) == 1


def test_a_sweep_that_is_not_there_is_answered_with_those_that_are(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.create("digits", {}, 0.0)
        for use in (lambda: store.read("digit"), lambda: store.append("digit", [])):
            with pytest.raises(StoreError, match="no sweep 'digit' in .*; it holds 'digits'"):
                use()
        assert store.append("digits", one_of_each()[:1])  # the failed transaction is over


def interrupted(store: SQLiteStore) -> None:
    with store.transaction("a") as transaction:
        transaction.append([StopRequested(trial=0, reason="", time=0.0)])
        raise KeyboardInterrupt


def test_an_error_of_the_block_is_not_dressed_up(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.create("a", {}, 0.0)
        with pytest.raises(KeyboardInterrupt):
            interrupted(store)
        assert list(store.read("a")) == []
