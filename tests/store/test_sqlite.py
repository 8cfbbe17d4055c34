"""The store in an SQLite file: its files, its errors, its locks, and what it does beyond the contract."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_tune.core.events import Event, Reported
from lightning_tune.errors import StoreError, SweepBusyError
from lightning_tune.store.locks import FileLock
from lightning_tune.store.sqlite import SQLiteStore
from lightning_tune.testing.store_contract import StoreContract, one_of_each, same


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SQLiteStore]:
        with SQLiteStore(tmp_path / "sweep.db") as store:
            yield store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with one sweep, "a", that holds one event of each type."""
    with SQLiteStore(tmp_path / "sweep.db") as store:
        store.create("a", {}, 0.0)
        store.append("a", one_of_each())
    return tmp_path / "sweep.db"


def reports(count: int, first: int = 0, metrics: str = "{}") -> list[Event]:
    return [Reported(9, 0, float(step), (0.5,), 0.0, metrics) for step in range(first, first + count)]


# -- files
# ------------------------------------------------------------------------------------------------------


def test_what_was_recorded_is_there_after_reopening(path: Path) -> None:
    with SQLiteStore(path) as store:
        assert len(list(store.read("a"))) == len(one_of_each())
        assert repr(store) == f"SQLiteStore('{path}')"


def test_files_are_private(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    with SQLiteStore(tmp_path / "x.db") as store:
        store.create("a", {}, 0.0)
        with store.hold("a"):
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.rglob("*")}
    assert modes.pop("x.db-locks") == 0o700
    assert {"x.db", "x.db-wal", "x.db-shm", "write.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert tmp_path.stat().st_mode & 0o777 == 0o755  # not a folder of ours


def test_a_name_never_becomes_a_path(path: Path) -> None:
    with SQLiteStore(path) as store, store.hold("../../escape"), store.hold("/tmp/\0x"):
        names = {file.name for file in (path.parent / "sweep.db-locks").iterdir()}
    assert len(names) == 3
    assert all(name == "write.lock" or len(name.removesuffix(".lock")) == 32 for name in names)


def test_a_closed_store_leaves_one_file(path: Path) -> None:
    assert sorted(file.name for file in path.parent.iterdir()) == ["sweep.db", "sweep.db-locks"]


def test_a_path_with_what_a_url_would_swallow(tmp_path: Path) -> None:
    odd = tmp_path / "a?mode=memory#x%20 é.db"
    with SQLiteStore(odd) as store:
        store.create("a", {}, 0.0)
    assert odd.is_file()
    with SQLiteStore(odd) as store:
        assert len(store.sweeps()) == 1


# -- settings
# ---------------------------------------------------------------------------------------------------


def pragma(store: SQLiteStore, name: str) -> Any:
    return store._session().pragma(name)


def test_settings(path: Path) -> None:
    with SQLiteStore(path, busy_timeout_s=12.0) as store:
        assert pragma(store, "journal_mode") == "wal"
        assert pragma(store, "foreign_keys") == 1
        assert pragma(store, "wal_autocheckpoint") == 0
        assert pragma(store, "busy_timeout") == 12_000


def test_durable_transactions_wait_for_the_disk_and_others_do_not(path: Path) -> None:
    normal, full = 1, 2
    with SQLiteStore(path) as store:
        for durable, level in ((False, normal), (True, full), (False, normal), (True, full)):
            with store.transaction("a", durable=durable) as transaction:
                assert store._sessions[threading.get_ident()].pragma("synchronous") == level
                transaction.append([])


def test_the_log_is_cut_short_again_and_again(path: Path) -> None:
    with SQLiteStore(path) as store:
        longest = 0
        for batch in range(60):
            store.append("a", reports(500, 500 * batch, "x" * 300))
            longest = max(longest, os.stat(f"{path}-wal").st_size)
        assert os.stat(path).st_size > 9 << 20
        assert longest < 8 << 20
        assert pragma(store, "busy_timeout") == 30_000
        assert sum(1 for _ in store.read("a")) == 60 * 500 + len(one_of_each())


def test_a_checkpoint_does_not_wait_for_a_reader(path: Path) -> None:
    with (
        SQLiteStore(path) as store,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        (before,) = reader.execute("SELECT count(*) FROM tune_reports").fetchone()
        began = time.monotonic()
        for batch in range(12):
            store.append("a", reports(1000, 1000 * batch, "x" * 500))
        assert time.monotonic() - began < 15  # of a busy timeout of 30 s
        assert reader.execute("SELECT count(*) FROM tune_reports").fetchone() == (before,)
        assert os.stat(f"{path}-wal").st_size > 5 << 20
        reader.execute("COMMIT")
        store.append("a", reports(9000, 100_000, "x" * 500))
        assert os.stat(f"{path}-wal").st_size == 0


# -- errors of the path
# -----------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"there is no folder {tmp_path}/nowhere. Make it first"):
        SQLiteStore(tmp_path / "nowhere" / "x.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is no file.*such as .*sweep\.db"):
        SQLiteStore(tmp_path)


@pytest.fixture
def foreign_folder() -> Iterator[Path]:
    """A folder, and a store in it, that we may read but not write, whoever runs the tests."""
    folder = Path(tempfile.mkdtemp())
    with SQLiteStore(folder / "there.db") as store:
        store.create("a", {}, 0.0)
    (folder / "there.db").chmod(0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written(foreign_folder: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be made in .*Permission denied.*right to write"):
        SQLiteStore(foreign_folder / "new.db")


def test_a_file_that_may_not_be_written(foreign_folder: Path) -> None:
    with pytest.raises(StoreError, match="may not be read and written by you"):
        SQLiteStore(foreign_folder / "there.db")


# -- errors of the file
# -----------------------------------------------------------------------------------------


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("trial,score\n1,0.5\n" * 100)
    with pytest.raises(StoreError, match=r"x\.db is not an SQLite database"):
        SQLiteStore(tmp_path / "x.db")
    assert (tmp_path / "x.db").read_text().startswith("trial,score")


def open_and_read(path: Path) -> None:
    with SQLiteStore(path) as store:
        list(store.read("a"))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.95])
def test_a_truncated_file(path: Path, keep: float) -> None:
    with SQLiteStore(path) as store:
        store.append("a", reports(2000))
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(StoreError, match=r"sweep\.db is damaged.*backup"):
        open_and_read(path)


def test_an_overwritten_page(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.append("a", reports(3000))
    data = bytearray(path.read_bytes())
    for page in range(8, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        open_and_read(path)


def test_a_missing_event_is_damage(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM tune_decisions")
        connection.commit()
    with SQLiteStore(path) as store, pytest.raises(StoreError, match="events 1 to 14 .* are not all there"):
        list(store.read("a"))


def test_a_sweep_that_is_deleted_while_it_is_read(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.append("a", reports(6000))
        reading = store.read("a")
        next(reading)
        store.delete("a")
        store.create("a", {}, 0.0)
        store.append("a", reports(7000))  # of another sweep, though of the same name
        with pytest.raises(StoreError, match="deleted just now"):
            list(reading)


def test_the_database_of_another_program(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    before = (tmp_path / "x.db").read_bytes()
    with pytest.raises(StoreError, match="another program .it has a table 'songs'"):
        SQLiteStore(tmp_path / "x.db")
    assert (tmp_path / "x.db").read_bytes() == before


# -- locks
# ------------------------------------------------------------------------------------------------------


def test_locked_by_another_program(path: Path) -> None:
    with SQLiteStore(path, busy_timeout_s=0.1) as store, contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"locked by another program for 0\.1 s"):
            store.append("a", reports(1))
        assert len(list(store.read("a"))) == len(one_of_each())  # reading goes on
        other.rollback()
        assert store.append("a", reports(1))[0].seq == len(one_of_each()) + 1


def test_locked_by_another_store(path: Path) -> None:
    with SQLiteStore(path, busy_timeout_s=0.1) as store, SQLiteStore(path) as other:
        with other.transaction("a"), pytest.raises(StoreError, match=r"another process for 0\.1 s"):
            store.append("a", reports(1))
        assert len(store.append("a", reports(1))) == 1


def test_opening_does_not_wait_for_a_writer(path: Path) -> None:
    with SQLiteStore(path) as store, store.transaction("a"), SQLiteStore(path, busy_timeout_s=0) as other:
        assert len(list(other.read("a"))) == len(one_of_each())


def test_a_lock_file_that_cannot_be_opened(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.append("a", [])
    shutil.rmtree(path.parent / "sweep.db-locks")
    (path.parent / "sweep.db-locks").mkdir()
    (path.parent / "sweep.db-locks" / "write.lock").mkdir()
    with SQLiteStore(path) as store:
        with pytest.raises(StoreError, match="its lock cannot be taken"):
            store.append("a", [])
        shutil.rmtree(path.parent / "sweep.db-locks")
        with pytest.raises(StoreError, match="its lock cannot be taken"), store.hold("a"):
            pass


HOLDER = """
import sys, time
from lightning_tune.store.sqlite import SQLiteStore
with SQLiteStore(sys.argv[1]) as store, store.hold("a"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_holds_a_sweep_until_it_is_killed(path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with SQLiteStore(path) as store:
        with (
            pytest.raises(SweepBusyError, match=f"sweep 'a' .* is being run by process {holder.pid} on "),
            store.hold("a"),
        ):
            pass
        holder.kill()
        holder.wait()
        with store.hold("a"):
            assert store.sweep("a") is not None
    holder.stdout.close()


# -- forks and threads
# ------------------------------------------------------------------------------------------

FORK = """
import os, sys, warnings
from lightning_tune.core.events import StopRequested
from lightning_tune.store.sqlite import SQLiteStore

def stop(reason):
    return [StopRequested(trial=0, reason=reason, time=0.0)]

store = SQLiteStore(sys.argv[1])
store.append("a", stop("before"))
for number in range(3):
    child = os.fork()
    if child == 0:
        store.append("a", stop(f"child {number}"), durable=True)
        seen = sum(1 for _ in store.read("a"))
        store.close()
        os._exit(0 if seen >= number + 2 else 1)
    store.append("a", stop(f"parent {number}"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
store.append("a", stop("after"))
store.close()
"""


def test_a_forked_child_has_its_own_connection(path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORK, str(path)], check=True, timeout=60)
    with SQLiteStore(path) as store:
        events: list[Any] = list(store.read("a", after=len(one_of_each())))
        assert sorted(event.reason for event in events) == sorted(
            ["before", "after", *(f"{who} {number}" for who in ("child", "parent") for number in range(3))]
        )
        assert pragma(store, "quick_check") == "ok"


def test_closing_closes_the_connections_of_all_threads(path: Path) -> None:
    store = SQLiteStore(path)
    ready, done = threading.Barrier(4), threading.Event()

    def read() -> None:
        assert store.sweep("a") is not None
        ready.wait()
        done.wait()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait()
    assert len(store._sessions) == 4
    store.close()
    done.set()
    for thread in threads:
        thread.join()
    assert not Path(f"{path}-wal").exists()  # removed with the last connection


def test_a_connection_that_broke_is_replaced(path: Path) -> None:
    with SQLiteStore(path) as store:
        store._session().connection.connection.driver_connection.close()  # type: ignore[union-attr]
        with pytest.raises(StoreError):
            store.append("a", reports(1))
        assert len(store.append("a", reports(1))) == 1
        store._session().connection.connection.driver_connection.close()  # type: ignore[union-attr]
        with pytest.raises(StoreError):
            list(store.read("a"))
        assert len(list(store.read("a"))) == len(one_of_each()) + 1
        lock = FileLock(path.parent / "sweep.db-locks" / "write.lock")
        assert lock.acquire(0)
        lock.close()


def test_a_connection_that_breaks_in_a_transaction_gives_its_lock_back(path: Path) -> None:
    with SQLiteStore(path, busy_timeout_s=0.5) as store:

        def use() -> None:
            with store.transaction("a") as transaction:
                store._sessions[threading.get_ident()].connection.connection.driver_connection.close()  # type: ignore[union-attr]
                transaction.append(reports(1))

        with pytest.raises(StoreError):
            use()
        assert len(store.append("a", reports(1))) == 1


# -- backup
# -----------------------------------------------------------------------------------------------------


def test_a_backup_is_a_store(path: Path) -> None:
    with SQLiteStore(path) as store:
        copy = store.backup(path.parent / "copy.db")
        store.append("a", reports(5))
        assert copy.stat().st_mode & 0o777 == 0o600
    with SQLiteStore(copy) as other, SQLiteStore(path) as store:
        assert same(list(other.read("a")), list(store.read("a"))[:-5])
        other.append("a", reports(1))


def test_a_backup_while_another_thread_writes(path: Path) -> None:
    stop = threading.Event()
    with SQLiteStore(path) as store:

        def write() -> None:
            step = 0
            while not stop.is_set():
                store.append("a", reports(10, step))
                step += 10

        thread = threading.Thread(target=write)
        thread.start()
        copies = [store.backup(path.parent / f"copy{number}.db") for number in range(4)]
        stop.set()
        thread.join()
        whole = list(store.read("a"))
    for copy in copies:
        with SQLiteStore(copy) as other:
            events = list(other.read("a"))
            assert same(events, whole[: len(events)])
            assert pragma(other, "quick_check") == "ok"


def test_a_backup_overwrites_nothing(path: Path) -> None:
    with SQLiteStore(path) as store:
        with pytest.raises(StoreError, match="is there already"):
            store.backup(path)
        with pytest.raises(StoreError, match="cannot be made"):
            store.backup(path.parent / "nowhere" / "copy.db")


def test_a_backup_inside_a_transaction_is_refused(path: Path) -> None:
    with (
        SQLiteStore(path) as store,
        store.transaction("a"),
        pytest.raises(StoreError, match="transaction open"),
    ):
        store.backup(path.parent / "copy.db")
    assert not (path.parent / "copy.db").exists()
