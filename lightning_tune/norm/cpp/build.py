"""Compile the kernels in C++ for the machine that they run on, once; the library is kept in a cache folder.

The folder is `$XDG_CACHE_HOME/lightning-tune` (`~/.cache/lightning-tune`). A library's name is a digest of
all that went into it: the sources, the flags, the compiler's version and the processor. So another machine
that shares the folder, or another version of this package, has its own. Processes that start at once may each
compile it; each puts a whole library there.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
UNITS = ("rows.cpp", "channels.cpp")
FLAGS = (
    "-std=c++17",
    "-O2",
    "-ftree-vectorize",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp",
    "-fPIC",
)
COMPILERS = ("c++", "g++", "clang++")
LONGEST_S = 300


class BuildError(Exception):
    """The kernels can't be had on this machine; says why."""


@functools.cache
def trouble() -> str | None:
    """Say why there are no kernels in C++ on this machine, or return None if there are.

    The first call on a machine compiles them, which takes some seconds.
    """
    try:
        library()
    except BuildError as error:
        return str(error)
    return None


@functools.cache
def library() -> ctypes.CDLL:
    """Return the compiled kernels.

    Raises:
        BuildError: there is no compiler, it does not compile them, or what it made can't be loaded.
    """
    try:
        compiler = _compiler()
        folder, digest = cache_folder(), _digest(compiler)
        if (kept := _kept(folder, digest)) is not None:
            try:
                return ctypes.CDLL(str(kept))
            except OSError:  # it is damaged: another takes its place
                kept.unlink()
        return ctypes.CDLL(str(compile_to(folder, digest, compiler)))
    except OSError as error:
        raise BuildError(f"the kernels in C++ could not be built or loaded: {error}") from None


def _kept(folder: Path, digest: str) -> Path | None:
    """Return the library in the folder; one that is cut short, or that others could write, is none."""
    for path in folder.glob(f"norm-{digest}-*.so"):
        if path.stat().st_size == int(path.stem.rpartition("-")[2]) and _is_ours(path):
            return path
    return None


def _is_ours(path: Path) -> bool:
    """Whether nobody but this user can change a file or folder, so that what it holds may be run."""
    if not hasattr(os, "geteuid"):
        return True
    found = path.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def compile_to(folder: Path, digest: str, compiler: Sequence[str]) -> Path:
    """Compile the library into a folder; whoever looks there sees nothing or all of it.

    Args:
        folder: where it is put.
        digest: of what goes into it, for its name; its size is there, too.
        compiler: a command.

    Returns:
        The library.

    Raises:
        BuildError: the compiler fails; its last words are in the message.
    """
    with tempfile.TemporaryDirectory(dir=folder) as room:
        objects = {unit: str(Path(room) / f"{unit}.o") for unit in UNITS}
        _run([[*compiler, *FLAGS, "-c", str(FOLDER / unit), "-o", made] for unit, made in objects.items()])
        whole = Path(room) / "whole.so"
        _run([[*compiler, *FLAGS, "-shared", *objects.values(), "-o", str(whole)]])
        whole.chmod(stat.S_IRWXU)
        return whole.replace(folder / f"norm-{digest}-{whole.stat().st_size}.so")


def cache_folder() -> Path:
    """Return where compiled kernels are kept.

    That is the user's cache, or a folder of this process if there is none, or if others could put something
    in there: what lies there is run.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    with contextlib.suppress(OSError, RuntimeError):  # without a home Path.home() raises RuntimeError
        folder = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "lightning-tune"
        folder.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
        if _is_ours(folder) and os.access(folder, os.W_OK):
            return folder
    return Path(_folder_of_this_process().name)


@functools.cache
def _folder_of_this_process() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="lightning-tune-", ignore_cleanup_errors=True)


def _compiler() -> list[str]:
    """Return the command of a C++ compiler: the environment's `CXX` with its arguments, or a usual one."""
    asked = shlex.split(os.environ.get("CXX", ""))
    for name in asked[:1] or COMPILERS:
        if (found := shutil.which(name)) is not None:
            return [found, *asked[1:]]
    names = ", ".join(asked[:1] or COMPILERS)
    raise BuildError(f"no C++ compiler was found ({names}) to build the kernels in C++")


def _digest(compiler: Sequence[str]) -> str:
    """Return a name for what this compiler makes of these sources on this processor."""
    digest = hashlib.sha256()
    for source in sorted([*FOLDER.glob("*.h"), *FOLDER.glob("*.cpp")]):
        digest.update(source.read_bytes())
    for text in (*FLAGS, *compiler, _run([[*compiler, "--version"]]), _processor()):
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """Return what tells processors apart that understand different instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(told)})) + platform.machine()


def _run(commands: list[list[str]]) -> str:
    """Run commands side by side; return what they print."""
    with contextlib.ExitStack() as stack:
        jobs = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
            )
            for command in commands
        ]
        printed = []
        for job, command in zip(jobs, commands, strict=True):
            try:
                output, _ = job.communicate(timeout=LONGEST_S)
            except subprocess.TimeoutExpired:
                for other in jobs:
                    other.kill()
                raise BuildError(f"{command[0]} took over {LONGEST_S} s for the kernels in C++") from None
            if job.returncode != 0:
                words = " ".join(output.split()[-30:])
                raise BuildError(f"{command[0]} can't compile the kernels in C++: {words or job.returncode}")
            printed.append(output)
    return "".join(printed)
