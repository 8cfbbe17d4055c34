"""What may happen to a store: killed writers, many writers, a full disk, a torn log.

Nothing that was acknowledged is lost.
"""

import contextlib
import os
import random
import select
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_tune.core.events import Event, Reported
from lightning_tune.errors import StoreError
from lightning_tune.store import Store, open_store
from lightning_tune.store.sqlite import SQLiteStore
from lightning_tune.testing.store_contract import one_of_each, same

WRITER = """
import os, sys
from lightning_tune.core.events import Reported
from lightning_tune.store import open_store

where, first = sys.stdin.readline().strip(), int(sys.argv[1])
store = open_store(where)
step = first
while True:
    # now and then two at once, now and then durable; the metrics make the log long enough for checkpoints
    pair = [Reported(0, 0, float(step + offset), (0.5,), 0.0, "x" * 3000) for offset in range(1 + step % 2)]
    store.append("a", pair, durable=step % 40 == 0)
    step += len(pair)
    os.write(1, f"{step}\\n".encode())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The place of a store with an empty sweep, "a"."""
    place: str = (
        str(tmp_path / "sweep.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    with open_store(place) as store:
        store.create("a", {}, 0.0)
    return place


def python(code: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def acknowledged_before_a_kill(where: str, first: int, after_s: float) -> int:
    """Run the writer, kill it `after_s` after its first acknowledgement, and return the last one it gave."""
    writer = python(WRITER, str(first))
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(where + "\n")
    writer.stdin.close()
    select.select([writer.stdout], [], [], 30)
    time.sleep(after_s)
    writer.kill()
    writer.wait()
    lines = writer.stdout.read().splitlines(keepends=True)
    writer.stdout.close()
    return int([line for line in lines if line.endswith("\n")][-1])


def test_a_killed_writer_loses_nothing_acknowledged(where: str) -> None:
    chance = random.Random(5)
    written = 0
    for _ in range(6):
        acknowledged = acknowledged_before_a_kill(where, written, chance.uniform(0.0, 0.25))
        assert acknowledged > written
        with open_store(where) as store:
            events: list[Any] = list(store.read("a"))
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.step for event in events] == [float(step) for step in range(len(events))]
        assert len(events) >= acknowledged
        written = len(events)
    if not where.startswith("postgresql"):
        assert_sound(Path(where))


def assert_sound(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


MANY = """
import sys
from lightning_tune.core.events import Reported
from lightning_tune.store import open_store

where, trial, count = sys.stdin.readline().strip(), int(sys.argv[1]), int(sys.argv[2])
store = open_store(where)
for step in range(count):
    with store.transaction("a", durable=step % 25 == 0) as transaction:
        known = sum(1 for _ in transaction.read(after=max(0, 4 * step - 200)))
        values, metrics = (float(known),), "x" * 5000
        pair = [Reported(trial, 0, 2.0 * step + offset, values, 0.0, metrics) for offset in (0, 1)]
        first, second = transaction.append(pair)
        assert second.seq == first.seq + 1
    if step % 5 == 0:
        assert [event.seq for event in store.read("a", after=second.seq - 1)][0] == second.seq
if trial != 3:
    store.close()
"""


def test_four_processes_append_to_one_sweep(where: str) -> None:
    count = 150
    writers = [python(MANY, str(trial), str(count)) for trial in range(4)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(where + "\n")
        writer.stdin.close()
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0, 0]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
    with open_store(where) as store:
        events: list[Any] = list(store.read("a"))
    assert [event.seq for event in events] == list(range(1, 4 * 2 * count + 1))
    for trial in range(4):
        assert [event.step for event in events if event.trial == trial] == [
            float(step) for step in range(2 * count)
        ]
    if not where.startswith("postgresql"):
        assert_sound(Path(where))


# -- a disk that fills -----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(
            "mounting a small file system needs root; the limit on a file's size is tested everywhere"
        )
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def report(step: int) -> list[Event]:
    return [Reported(0, 0, float(step), (0.5,), 0.0, "x" * 2000)]


def fill(store: Store, step: int) -> tuple[int, str]:
    """Append reports from `step` on until one is refused; return the step that was, and the refusal."""
    for number in range(step, step + 5000):
        try:
            store.append("a", report(number), durable=number % 10 == 0)
        except StoreError as error:
            return number, str(error)
    raise AssertionError("the disk did not fill")


def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(600_000))
    with SQLiteStore(small_disk / "sweep.db") as store:
        store.create("a", {}, 0.0)
        store.append("a", one_of_each())
        recorded = len(one_of_each())
        count, refusal = fill(store, 100)
        assert "the disk of" in refusal
        assert "is full" in refusal
        assert "free some space" in refusal
        recorded += count - 100
        assert len(list(store.read("a"))) == recorded
        with store.hold("a"), pytest.raises(StoreError, match="is full"):
            store.append("a", report(count), durable=True)
        with pytest.raises(StoreError, match="is full|cannot be made"):
            SQLiteStore(small_disk / "another.db")
        ballast.unlink()
        for step in range(count, count + 20):
            store.append("a", report(step), durable=True)
        assert len(list(store.read("a"))) == recorded + 20
    with SQLiteStore(small_disk / "sweep.db") as store:
        assert [event.seq for event in store.read("a")] == list(range(1, recorded + 21))
    assert_sound(small_disk / "sweep.db")


def test_a_backup_to_a_full_disk_leaves_no_torn_copy(small_disk: Path, tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "sweep.db") as store:
        store.create("a", {}, 0.0)
        for step in range(1500):
            store.append("a", report(step))
        with pytest.raises(StoreError, match="the copy .* is full"):
            store.backup(small_disk / "copy.db")
        assert list(small_disk.iterdir()) == []
        assert len(list(store.read("a"))) == 1500


LIMITED = """
import resource, sys
from lightning_tune.core.events import Reported
from lightning_tune.errors import StoreError
from lightning_tune.store.sqlite import SQLiteStore

def report(step):
    return [Reported(0, 0, float(step), (0.5,), 0.0, "x" * 2000)]

store = SQLiteStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
step = 0
try:
    while True:
        store.append("a", report(step), durable=step % 10 == 0)
        step += 1
except StoreError as error:
    print(error)
recorded = len(list(store.read("a")))
assert recorded == step > 20, (recorded, step)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for more in range(step, 2 * step):
    store.append("a", report(more))
assert len(list(store.read("a"))) == 2 * step
print(2 * step)
"""


def test_a_limit_on_the_size_of_files_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sweep.db"
    with SQLiteStore(path) as store:
        store.create("a", {}, 0.0)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refusal, count = done.stdout.splitlines()
    assert "What was recorded is safe" in refusal
    with SQLiteStore(path) as store:
        assert [event.seq for event in store.read("a")] == list(range(1, int(count) + 1))
    assert_sound(path)


# -- what a kill or a power cut leaves -------------------------------------------------------------


def test_a_torn_log_keeps_what_came_before(tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    torn.mkdir()
    with SQLiteStore(tmp_path / "sweep.db") as store:
        store.create("a", {}, 0.0)
        for step in range(50):
            store.append("a", report(step))
        whole = list(store.read("a"))
        for name in ("sweep.db", "sweep.db-wal"):
            shutil.copy(
                tmp_path / name, torn / name
            )  # as after a power cut; with nobody writing it is consistent
    os.truncate(torn / "sweep.db-wal", (torn / "sweep.db-wal").stat().st_size - 5000)
    with SQLiteStore(torn / "sweep.db") as store:
        kept = list(store.read("a"))
        assert 40 <= len(kept) < 50
        assert same(kept, whole[: len(kept)])
        assert store.append("a", report(99))[0].seq == len(kept) + 1


def test_a_process_killed_while_it_made_the_file(tmp_path: Path) -> None:
    (tmp_path / "sweep.db").touch()
    with SQLiteStore(tmp_path / "sweep.db") as store:
        store.create("a", {}, 0.0)
        assert len(store.append("a", one_of_each())) == len(one_of_each())
