"""The git commit of a folder, and whether anything in it was changed since."""

import os
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its hash, and whether tracked files differ from it."""

    sha: str
    dirty: bool


def commit_of(folder: str, timeout_s: float = 2.0) -> Commit | None:
    """Return a folder's commit, or None without git, outside a repository, or in one without a commit.

    One call, which takes no lock and runs no program that the repository's own configuration names.
    """
    command = ["git", "-c", "core.fsmonitor=false", "-C", folder, "status"]
    command += ["--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = answer.splitlines()
    shas = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if not shas or shas[0] == "(initial)":
        return None
    return Commit(shas[0], any(not line.startswith("#") for line in lines))
