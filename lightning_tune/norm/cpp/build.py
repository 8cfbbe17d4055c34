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
import shutil
import subprocess
import tempfile
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
        BuildError: there is no compiler, or it does not compile them.
    """
    compiler = _compiler()
    kept = cache_folder() / f"norm-{_digest(compiler)}.so"
    try:
        if not kept.exists():
            compile_to(kept, compiler)
        return ctypes.CDLL(str(kept))
    except OSError as error:
        raise BuildError(f"the kernels in C++ could not be loaded: {error}") from None


def compile_to(target: Path, compiler: str) -> None:
    """Compile the library to a path; whoever looks there sees nothing or all of it.

    Args:
        target: the library.
        compiler: a command.

    Raises:
        BuildError: the compiler fails; its last words are in the message.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        objects = {unit: str(Path(folder) / f"{unit}.o") for unit in UNITS}
        jobs = [[compiler, *FLAGS, "-c", str(FOLDER / unit), "-o", made] for unit, made in objects.items()]
        _run(jobs)
        whole = Path(folder) / "whole.so"
        _run([[compiler, *FLAGS, "-shared", *objects.values(), "-o", str(whole)]])
        whole.replace(target)


def cache_folder() -> Path:
    """Return where compiled kernels are kept: the user's cache, or one of this process if that is closed."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "lightning-tune"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(_folder_of_this_process().name)


@functools.cache
def _folder_of_this_process() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="lightning-tune-", ignore_cleanup_errors=True)


def _compiler() -> str:
    """Return the command of a C++ compiler: the environment's `CXX`, or the usual names."""
    asked = os.environ.get("CXX")
    names = (asked,) if asked else COMPILERS
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    raise BuildError(f"no C++ compiler was found ({', '.join(names)}) to build the kernels in C++")


def _digest(compiler: str) -> str:
    """Return a name for what this compiler makes of these sources on this processor."""
    digest = hashlib.sha256()
    for source in sorted([*FOLDER.glob("*.h"), *FOLDER.glob("*.cpp")]):
        digest.update(source.read_bytes())
    for text in (*FLAGS, _run([[compiler, "--version"]]), _processor()):
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
                raise BuildError(f"{command[0]} can't compile the kernels in C++: {words}")
            printed.append(output)
    return "".join(printed)
