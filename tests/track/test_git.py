import subprocess
from pathlib import Path

import pytest

from lightning_tune.track.git import Commit, commit_of


def _git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *names, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    assert commit_of(str(tmp_path)) is None
    _git(tmp_path, "init")
    assert commit_of(str(tmp_path)) is None
    (tmp_path / "file").write_text("one")
    _git(tmp_path, "add", "file")
    _git(tmp_path, "commit", "-m", "one")
    (tmp_path / "other").write_text("not tracked")
    sha = _git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(str(tmp_path)) == Commit(sha, dirty=False)
    (tmp_path / "file").write_text("two")
    assert commit_of(str(tmp_path)) == Commit(sha, dirty=True)


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(str(tmp_path)) is None


def test_a_git_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    slow.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(str(tmp_path), timeout_s=0.2) is None
