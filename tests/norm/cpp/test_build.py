"""Building the kernels: once, by several processes at a time, or with a reason why not."""

import ctypes
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_tune.norm.cpp import build


@pytest.fixture(autouse=True)
def as_at_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test has an empty cache, and a memory without what was built before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for cached in (build.trouble, build.library):
        cached.cache_clear()
    yield
    for cached in (build.trouble, build.library):
        cached.cache_clear()


def command(path: Path, *lines: str) -> str:
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_built_once_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build.trouble() is None
    assert isinstance(build.library(), ctypes.CDLL)
    (library,) = build.cache_folder().glob("*.so")
    built = library.stat().st_mtime_ns
    build.library.cache_clear()
    monkeypatch.setattr(build, "compile_to", lambda *given: pytest.fail("it is there already"))
    assert build.library().row_norm_forward
    assert library.stat().st_mtime_ns == built
    assert list(build.cache_folder().iterdir()) == [library]


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    assert build.trouble() == "no C++ compiler was found (c++, g++, clang++) to build the kernels in C++"
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(build.BuildError, match="no-such-compiler"):
        build.library()


def test_a_compiler_that_fails_has_the_last_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = ('[ "$1" = --version ] && echo 1.0 && exit 0', "echo unknown flag -fopenmp >&2", "exit 1")
    monkeypatch.setenv("CXX", command(tmp_path / "compiler", *script))
    reason = build.trouble()
    assert reason is not None
    assert "can't compile the kernels in C++: unknown flag -fopenmp" in reason
    assert not list(build.cache_folder().glob("*.so"))


def test_a_compiler_that_never_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "LONGEST_S", 0.2)
    monkeypatch.setenv("CXX", command(tmp_path / "compiler", "exec sleep 60"))
    reason = build.trouble()
    assert reason is not None
    assert "took over 0.2 s" in reason


def test_a_library_that_can_not_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(folder: Path, digest: str, compiler: object) -> Path:
        (folder / "library.so").write_bytes(b"no library")
        return folder / "library.so"

    monkeypatch.setattr(build, "compile_to", made)
    reason = build.trouble()
    assert reason is not None
    assert reason.startswith("the kernels in C++ could not be built or loaded")


def test_a_damaged_library_is_built_again() -> None:
    """By another process: this one has it loaded already."""
    assert build.trouble() is None
    (library,) = build.cache_folder().glob("*.so")
    whole = library.read_bytes()
    program = "from lightning_tune.norm.cpp import build; print(build.trouble())"
    for damaged in (whole[: len(whole) // 2], b"x" * len(whole)):
        library.unlink()  # a new file: the old one is mapped
        library.write_bytes(damaged)
        library.chmod(stat.S_IRWXU)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "None\n"
        assert library.read_bytes() == whole


def test_what_others_can_write_is_not_run() -> None:
    assert build.trouble() is None
    folder = build.cache_folder()
    (library,) = folder.glob("*.so")
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IRWXU
    library.chmod(0o777)
    assert build._kept(folder, library.stem.split("-")[1]) is None
    library.chmod(0o700)
    assert build._kept(folder, library.stem.split("-")[1]) == library
    folder.chmod(0o777)
    assert build.cache_folder() != folder


@pytest.mark.parametrize("cache", ["", "relative"])
def test_without_a_home(monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    """As in a container whose user has no entry in passwd."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setattr(Path, "home", no_home)
    assert build.cache_folder().is_dir()


def test_a_compiler_with_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "c++ -O1")
    assert build._compiler()[1:] == ["-O1"]
    monkeypatch.setenv("CXX", f"'{tmp_path / 'com piler'}' -O1")
    (tmp_path / "com piler").write_bytes(b"not a program")
    (tmp_path / "com piler").chmod(0o700)
    reason = build.trouble()
    assert reason is not None
    assert "could not be built or loaded" in reason


def test_another_compiler_or_processor_has_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one, two = (command(tmp_path / name, f"echo {name}") for name in ("one", "two"))
    names = {build._digest([one]), build._digest([two])}
    monkeypatch.setattr(build, "_processor", lambda: "another")
    names.add(build._digest([one]))
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-g"))
    names.add(build._digest([one]))
    assert len(names) == 4


def test_a_cache_that_is_closed_is_replaced_by_a_folder_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a folder can't be made there
    assert build.cache_folder().is_dir()
    assert tmp_path not in build.cache_folder().parents
    assert build.trouble() is None


def test_several_processes_at_a_time() -> None:
    program = "from lightning_tune.norm.cpp import build; print(build.trouble())"
    jobs = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [job.communicate(timeout=300)[0] for job in jobs] == ["None\n"] * 3
    assert len(list(build.cache_folder().iterdir())) == 1
