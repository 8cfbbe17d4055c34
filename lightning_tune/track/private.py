"""Folders and files that only their owner may read (0700 and 0600)."""

import os
import tempfile
from pathlib import Path
from typing import IO


def private_folder(path: Path) -> Path:
    """Make a folder, and those above it that are missing, with mode 0700; return it."""
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a text file at once: under its name is either what was there before or all of the new text."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def append_private(path: Path) -> IO[str]:
    """Open a text file to append to; it is made with mode 0600 if it is not there."""
    return open(path, "a", encoding="utf-8", newline="", opener=_opener)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
