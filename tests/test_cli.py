import json
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_tune
from lightning_tune.cli import main
from lightning_tune.store import open_store
from lightning_tune.testing.recorded import record_example


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sweeps" / "digits"
    folder.mkdir(parents=True)
    with open_store(folder / "sweep.db") as store:
        record_example(store)
    return folder


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"lightning-tune {lightning_tune.__version__}\n"


def test_without_a_command_it_prints_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for command in ("demo", "list", "show", "export"):
        assert command in printed


def test_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(folder.parent)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("digits ")


def test_list_looks_in_sweeps_by_default(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parents[1])
    assert main(["list"]) == 0
    assert "sweeps/digits" in capsys.readouterr().out


def test_show_a_sweep_and_a_trial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(folder), "--limit", "2"]) == 0
    assert "... and 2 more" in capsys.readouterr().out
    assert main(["show", str(folder), "2"]) == 0
    assert "too wide" in capsys.readouterr().out


def test_export(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "trials.json"
    assert main(["export", str(folder), str(target)]) == 0
    assert capsys.readouterr().out == f"4 trials written to {target}\n"
    assert len(json.loads(target.read_text())) == 4
    assert main(["export", str(folder), str(target)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["export", str(folder), str(target), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["list", "nowhere"], "there is no file or folder 'nowhere'"),
        (["show", "{}", "9"], "has no trial 9: its trials are 0 to 3"),
        (["show", "{}", "--sweep", "other"], "no sweep 'other'"),
        (["export", "{}", "trials.txt"], "must end in .csv, .json or .xlsx"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    folder: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(folder) for word in words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("lightning-tune: ")
    assert sentence in printed.err
    assert "Traceback" not in printed.err


def test_a_wrong_limit_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["show", str(folder), "--limit", "0"])
    assert stopped.value.code == 2
    assert "must be at least 1, got 0" in capsys.readouterr().err


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def interrupted(where: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lightning_tune.inspect.reading.read_sweeps", interrupted)
    assert main(["list", str(folder)]) == 130


def test_the_module_is_the_command_and_a_closed_pipe_is_no_error(folder: Path) -> None:
    """A terminal that knows only ASCII, and a reader that has gone before the first line."""
    command = [sys.executable, "-m", "lightning_tune", "show", str(folder)]
    shell = f"{' '.join(command)} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_reading_a_sweep_imports_neither_torch_nor_lightning(folder: Path) -> None:
    show = f"import sys; from lightning_tune.cli import main; main(['show', {str(folder)!r}])"
    done = subprocess.run(
        [sys.executable, "-c", f"{show}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert {"torch", "lightning", "wandb"}.isdisjoint(done.stdout.splitlines()[-1].split())
