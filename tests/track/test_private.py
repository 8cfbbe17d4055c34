import stat
from pathlib import Path

import pytest

from lightning_tune.track.private import append_private, private_folder, write_private


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_folder_that_is_made_is_private(tmp_path: Path) -> None:
    before = _mode(tmp_path)
    made = private_folder(tmp_path / "a" / "b")
    assert made == private_folder(made)
    assert (_mode(tmp_path / "a"), _mode(made), _mode(tmp_path)) == (0o700, 0o700, before)


def test_files_are_private_and_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "one\r\n")
    write_private(path, "two\r\n")
    with append_private(path) as file:
        file.write("three")
    assert path.read_bytes() == b"two\r\nthree"
    assert _mode(path) == 0o600
    with append_private(tmp_path / "new"):
        assert _mode(tmp_path / "new") == 0o600


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
