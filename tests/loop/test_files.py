import hashlib
import stat

import pytest

from lightning_tune.errors import CheckpointError, StoreError
from lightning_tune.loop.files import SweepFiles


def test_a_file_is_whole_private_and_measured(tmp_path):
    files = SweepFiles(tmp_path)
    files.trial_folder(3)
    ref = files.write("trials/3/a.ckpt", 2.0, lambda file: file.write(b"weights"))
    path = files.check(ref)
    assert path.read_bytes() == b"weights"
    assert (ref.size, ref.sha256) == (7, hashlib.sha256(b"weights").hexdigest())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    files = SweepFiles(tmp_path)
    ref = files.write("trials/0/a.ckpt", 1.0, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half of the ne")
        raise OSError("no space left")

    with pytest.raises(
        StoreError, match="cannot be written: no space left. What was recorded before is kept"
    ):
        files.write("trials/0/a.ckpt", 2.0, fail)
    assert files.check(ref).read_bytes() == b"old"
    assert len(list((tmp_path / "trials/0").iterdir())) == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"weight"), "has 6 bytes, but 7 were written"),
        (lambda path: path.write_bytes(b"weighty"), "SHA-256"),
    ],
)
def test_damage_is_found_before_loading(tmp_path, damage, message):
    files = SweepFiles(tmp_path)
    ref = files.write("trials/0/a.ckpt", 1.0, lambda file: file.write(b"weights"))
    damage(tmp_path / ref.path)
    with pytest.raises(CheckpointError, match=message):
        files.check(ref)


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    files = SweepFiles(tmp_path)
    leftover = files.trial_folder(0) / ".a.ckpt.123.tmp"
    leftover.write_bytes(b"torn")
    kept, orphan, own = (
        files.trial_folder(0) / name for name in ("best-0-1.ckpt", "pause-0-1.ckpt", "mine.ckpt")
    )
    for path in (kept, orphan, own):
        path.write_bytes(b"x")
    files.remove_leftovers({"trials/0/best-0-1.ckpt"})
    assert [path.exists() for path in (leftover, kept, orphan, own)] == [False, True, False, True]
    files.remove("trials/0/never-there.ckpt")


def test_a_sweep_without_files_says_so():
    files = SweepFiles(None)
    files.remove_leftovers([])
    with pytest.raises(CheckpointError, match="keeps no checkpoints"):
        files.trial_folder(0)
