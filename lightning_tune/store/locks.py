"""A lock file that one holder at a time has, and that a killed process loses at once.

`flock` belongs to the open file, not to the process, so it also keeps two threads or two stores of one
process apart. A child made by `fork` shares the open file and would keep the lock alive after its parent is
killed (a data loader's worker, for instance): every lock file is therefore closed in the child, which leaves
the parent's lock as it is.
"""

import contextlib
import fcntl
import os
import random
import time
import weakref
from pathlib import Path

_FIRST_WAIT_S = 0.0001
_LONGEST_WAIT_S = 0.05
_open_locks: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


class FileLock:
    """An exclusive lock on a file, which is made (0600) when it is first locked and stays there afterwards.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "lock"
        >>> first, second = FileLock(path), FileLock(path)
        >>> first.acquire(timeout_s=0), second.acquire(timeout_s=0)
        (True, False)
        >>> first.close()
        >>> second.acquire(timeout_s=0)
        True
        >>> second.close()
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        _open_locks.add(self)

    def acquire(self, timeout_s: float) -> bool:
        """Take the lock, waiting for it at most `timeout_s` seconds; return whether it was got.

        The waits between two tries grow, with jitter, so that many waiting processes do not move in step.

        Raises:
            OSError: the file cannot be opened.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline, wait_s = 0.0, _FIRST_WAIT_S
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                now = time.monotonic()
                deadline = deadline or now + timeout_s
                if now >= deadline:
                    return False
                time.sleep(min(random.uniform(0.5, 1.0) * wait_s, deadline - now))
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                return True

    def release(self) -> None:
        """Give the lock back; the file stays open for the next time."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the lock back and close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def write_holder(self, text: str) -> None:
        """Leave a line for others that says who has the lock."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def read_holder(self) -> str:
        """Return the line that the holder left, "" if there is none (yet)."""
        return "" if self._descriptor is None else os.pread(self._descriptor, 200, 0).decode(errors="replace")

    def __del__(self) -> None:
        self.close()


def _close_in_child() -> None:
    for lock in list(_open_locks):
        with contextlib.suppress(OSError):  # a descriptor that the child was started without
            lock.close()


os.register_at_fork(after_in_child=_close_in_child)
