import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lightning_tune import demo
from lightning_tune.errors import MissingDependencyError
from lightning_tune.inspect.reading import find_sweep

ROOT = Path(__file__).parents[1]
SHORT = ["--trials", "3", "--epochs", "2"]


def test_the_example_is_the_demo() -> None:
    source = Path(demo.__file__).read_text(encoding="utf-8")
    assert (ROOT / "examples" / "digits.py").read_text(encoding="utf-8") == source


def test_the_split_is_fixed_and_disjoint() -> None:
    data, again = demo.DigitsData(), demo.DigitsData()
    data.setup("fit")
    again.setup("test")
    assert [len(part) for part in (data.train, data.val, data.test)] == [1077, 360, 360]
    assert torch.equal(data.test[:][0], again.test[:][0])
    sums = [part[:][0].double().sum() for part in (data.train, data.val, data.test)]
    from sklearn.datasets import load_digits

    assert sum(sums) == pytest.approx(load_digits().images.sum() / 16)


@pytest.mark.parametrize("net", ["mlp", "cnn"])
def test_both_networks_read_images(net: str) -> None:
    module = demo.LitDigits(net=net, width=8, channels=4)
    assert module.net(torch.zeros(5, 1, 8, 8)).shape == (5, 10)


def test_it_runs_tells_where_everything_is_and_knows_that_it_has_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--root-dir", str(tmp_path), *SHORT]
    demo.main(words)
    printed = capsys.readouterr().out
    assert "The best five of 3 trials" in printed
    assert re.search(r"validation accuracy 0\.\d{4}, test accuracy 0\.\d{4}\.", printed)
    best, following = printed.splitlines()[-2:]
    assert Path(best.removeprefix("Best checkpoint: ")).is_file()
    assert following.startswith(f"Next, see that trial: lightning-tune show {tmp_path / 'digits'} ")

    demo.main(words)
    assert (
        "had finished before, so nothing was trained. Start anew with: lightning-tune demo --overwrite"
        in (capsys.readouterr().out)
    )
    started = find_sweep(str(tmp_path)).history.trials[0].started
    demo.main([*words, "--overwrite"])
    assert find_sweep(str(tmp_path)).history.trials[0].started > started


def test_the_command_it_names_exists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lightning_tune.cli import main

    assert main(["demo", "--root-dir", str(tmp_path), *SHORT]) == 0
    words = capsys.readouterr().out.splitlines()[-1].partition("lightning-tune ")[2].split()
    assert main(words) == 0
    assert "completed" in capsys.readouterr().out


def test_a_missing_package_is_one_sentence_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        MissingDependencyError, match=r"the digits demo needs .*lightning-tuneloop\[examples\]"
    ):
        demo.main(["--root-dir", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_killed_and_started_again_it_keeps_what_it_has(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lightning_tune", "demo", "--root-dir", str(tmp_path), "--trials", "6"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("digits/trials/2")) and time.monotonic() < deadline:
        assert first.poll() is None, "the demo ended before it could be killed"
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = {trial.number: trial for trial in find_sweep(str(tmp_path)).history if trial.ended is not None}
    assert kept
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{len(kept)} finished trials kept" in second.stdout + second.stderr
    after = find_sweep(str(tmp_path)).history
    assert [trial.state for trial in after] == ["completed"] * 6
    assert {number: after.trials[number].ended for number in kept} == {
        number: trial.ended for number, trial in kept.items()
    }


@pytest.mark.slow
def test_it_reaches_what_it_promises(tmp_path: Path) -> None:
    began = time.monotonic()
    demo.main(["--root-dir", str(tmp_path)])
    best = find_sweep(str(tmp_path)).history.best
    assert best is not None
    assert best.score is not None
    assert best.score >= 0.97
    assert time.monotonic() - began < 120
