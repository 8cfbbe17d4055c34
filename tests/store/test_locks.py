"""Lock files: one holder at a time, in threads and processes, and none after a kill."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lightning_tune.store.locks import FileLock


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire(0)
    assert not second.acquire(0)
    first.release()
    assert second.acquire(0)
    second.close()
    assert first.acquire(0)
    first.close()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_waiting_ends_at_the_timeout(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    first.acquire(0)
    began = time.monotonic()
    assert not second.acquire(0.15)
    assert 0.15 <= time.monotonic() - began < 5
    first.close()
    second.close()


def test_waiting_ends_when_the_lock_is_given_back(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    first.acquire(0)
    timer = threading.Timer(0.1, first.release)
    timer.start()
    assert second.acquire(30)
    timer.join()
    second.close()
    first.close()


def test_the_holder_leaves_a_line(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert second.read_holder() == ""
    first.acquire(0)
    first.write_holder("a longer line")
    first.write_holder("process 7")
    second.acquire(0)
    assert second.read_holder() == "process 7"
    first.close()
    second.close()


def test_an_unopened_lock_is_closed_in_peace(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    lock.release()
    lock.write_holder("nobody")
    lock.close()
    assert not (tmp_path / "lock").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "nowhere" / "lock").acquire(0)


HOLDER = """
import os, sys, time
from pathlib import Path
from lightning_tune.store.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.acquire(0)
child = os.fork()  # as a data loader's worker is made
if child:
    os.write(1, f"{child}\\n".encode())
time.sleep(60)
"""


def test_a_killed_process_loses_it_though_its_forked_child_lives(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    lock = FileLock(tmp_path / "lock")
    try:
        assert not lock.acquire(0)
        holder.kill()
        holder.wait()
        assert lock.acquire(5)
        os.kill(child, 0)  # it is still there
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()
        lock.close()


def test_a_forked_child_does_not_release_its_parent_s_lock(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    lock.acquire(0)
    code = (
        "import os, sys; from pathlib import Path; from lightning_tune.store.locks import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); lock.acquire(0); child = os.fork()\n"
        "if child == 0: lock.release(); lock.close(); os._exit(0)\n"
        "os.waitpid(child, 0); print(FileLock(Path(sys.argv[1])).acquire(0))"
    )
    lock.close()
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "lock")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    assert other.acquire(5)
    other.close()
