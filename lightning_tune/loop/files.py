"""The sweep's folder: numbers for names, private to the user, and files that are whole or not there.

A checkpoint is written to a temporary file beside its target, flushed to the disk and renamed; its size and
SHA-256 travel in the event that records it and are checked before it is loaded.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, get_args

from lightning_tune.core.events import CheckpointKind
from lightning_tune.errors import CheckpointError, StoreError
from lightning_tune.execute.base import CheckpointRef

_CHUNK = 1 << 22


@dataclass(frozen=True)
class SweepFiles:
    """Reads and writes a sweep's checkpoint files. Paths are relative to `folder`, with forward slashes.

    Attributes:
        root: the sweep's folder; None of a sweep that has no files.
    """

    root: Path | None

    @property
    def folder(self) -> Path:
        """Where the files are.

        Raises:
            CheckpointError: the sweep has no files.
        """
        if self.root is None:
            raise CheckpointError("this sweep is of a function, and keeps no checkpoints.")
        return self.root

    def trial_folder(self, trial: int) -> Path:
        """Return a trial's folder, made (0700) if it is not there."""
        folder = self.folder / "trials" / str(trial)
        for path in (self.folder / "trials", folder):
            path.mkdir(mode=0o700, exist_ok=True)
        return folder

    def write(self, path: str, step: float, save: Callable[[BinaryIO], None]) -> CheckpointRef:
        """Write a file in one piece: afterwards the whole of it is on the disk under its name, or nothing is.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        target = self.folder / path
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                save(file)
                file.flush()
                os.fsync(file.fileno())
            size, digest = _measure(temporary)
            os.replace(temporary, target)
        except OSError as error:
            raise StoreError(
                f"the checkpoint {target} cannot be written: {error.strerror or error}. What was recorded "
                "before is kept; make room and fit again with the same `name=` to go on."
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return CheckpointRef(path=path, step=step, size=size, sha256=digest)

    def check(self, ref: CheckpointRef) -> Path:
        """Return where a checkpoint is, having made sure that it is what was saved.

        Raises:
            CheckpointError: it is missing, or its bytes are not those that were written.
        """
        path = self.folder / ref.path
        try:
            size, digest = _measure(path)
        except OSError as error:
            raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror or error}.") from error
        if size != ref.size:
            raise CheckpointError(f"checkpoint {path} has {size} bytes, but {ref.size} were written.")
        if digest != ref.sha256:
            raise CheckpointError(f"checkpoint {path} is damaged: its SHA-256 is not the recorded one.")
        return path

    def copy(self, source: str, target: str) -> bool:
        """Give a file a second name, which stays when the first is removed; return whether it was there.

        Files are replaced and never changed, so a link will do; where the file system has none, it is copied.

        Raises:
            StoreError: the folder cannot be written.
        """
        path = self.folder / target
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            try:
                os.link(self.folder / source, temporary)
            except FileNotFoundError:
                return False
            except OSError:
                shutil.copy2(self.folder / source, temporary)
            os.replace(temporary, path)
        except OSError as error:
            raise StoreError(
                f"the checkpoint {path} cannot be written: {error.strerror or error}."
            ) from error
        return True

    def remove(self, path: str) -> None:
        """Remove a file; one that is gone already is fine."""
        (self.folder / path).unlink(missing_ok=True)

    def remove_leftovers(self, recorded: Collection[str]) -> None:
        """Remove what a killed process left: temporary files, and checkpoints that no record names."""
        if self.root is None:
            return
        for path in self.folder.glob("trials/*/.*.tmp"):
            path.unlink(missing_ok=True)
        for kind in get_args(CheckpointKind):
            for path in self.folder.glob(f"trials/*/{kind}-*.ckpt"):
                if path.relative_to(self.folder).as_posix() not in recorded:
                    path.unlink(missing_ok=True)


def _measure(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
