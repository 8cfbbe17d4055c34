"""A sweep that is killed at any moment and fitted again ends as if it had never been: promise 3."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lightning_tune.core.events import Reported
from lightning_tune.store import open_store

SCRIPT = Path(__file__).with_name("sweep_script.py")


def start(root, name, every_s=60.0, epochs=6, slow_batch_s=0.0):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(root), name, str(every_s), str(epochs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "SLOW_BATCH_S": str(slow_batch_s)},
    )


def finish(process):
    output, _ = process.communicate(timeout=120)
    return output


def read(process, lines, start="epoch"):
    """Read until `lines` lines that begin so were printed, or the process has ended."""
    seen = 0
    for line in process.stdout:
        seen += line.startswith(start)
        if seen >= lines:
            return


def facts(root, name):
    """What a sweep consists of, without times.

    Events in order, reports by their key, and the kept weights.
    """
    with open_store(root / name / "sweep.db") as store:
        events = list(store.read(name))
    reports = {(e.trial, e.leg, e.step): (e.values, e.metrics) for e in events if type(e) is Reported}
    assert len(reports) == sum(type(e) is Reported for e in events)
    trials = [(e.trial, e.config, e.seed, e.origin) for e in events if type(e).__name__ == "TrialStarted"]
    ends = [(e.trial, e.state, e.step, e.reason) for e in events if type(e).__name__ == "TrialEnded"]
    weights = {
        path.relative_to(root / name).as_posix(): torch.load(path, weights_only=True)["state_dict"]
        for path in (root / name).rglob("best*.ckpt")
    }
    rows = {path.parent.parent.name: path.read_text() for path in (root / name).rglob("metrics.csv")}
    return trials, reports, ends, weights, rows


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory):
    root = tmp_path_factory.mktemp("unharmed")
    assert "ended 5 trials" in finish(start(root, "s"))
    return facts(root, "s")


@pytest.mark.parametrize(("every_s", "seed"), [(0.0, 1), (60.0, 2)])
def test_killed_again_and_again_it_ends_the_same(tmp_path, unharmed, every_s, seed):
    """Kill after a few epochs, three times, wherever that hits; then let it end."""
    rng = random.Random(seed)
    for _ in range(3):
        process = start(tmp_path, "s", every_s)
        read(process, rng.randint(2, 9))
        process.send_signal(signal.SIGKILL)
        finish(process)
    assert "ended 5 trials" in finish(start(tmp_path, "s", every_s))
    trials, reports, ends, weights, rows = facts(tmp_path, "s")
    assert trials == unharmed[0]
    assert reports == unharmed[1]
    assert ends == unharmed[2]
    assert weights.keys() == unharmed[3].keys()
    for path, state in weights.items():
        assert all(torch.equal(state[name], unharmed[3][path][name]) for name in state)
    assert rows == unharmed[4]
    leftovers = [path.name for path in (tmp_path / "s").rglob("*") if path.name.endswith(".tmp")]
    assert leftovers == []


def test_first_ctrl_c_ends_with_the_epoch_and_the_sweep_goes_on_later(tmp_path, unharmed):
    process = start(tmp_path, "s")
    read(process, 8)
    process.send_signal(signal.SIGINT)
    output = finish(process)
    assert process.returncode == 0
    assert "ended interrupted by Ctrl-C" in output
    assert "'paused'" in output
    assert "ended 5 trials" in finish(start(tmp_path, "s"))
    trials, reports, ends, _, rows = facts(tmp_path, "s")
    assert (trials, reports, ends, rows) == (unharmed[0], unharmed[1], unharmed[2], unharmed[4])


def test_second_ctrl_c_is_immediate(tmp_path):
    process = start(tmp_path, "s", slow_batch_s=60.0)
    read(process, 1, "slow batch")  # within an epoch: at its end the first Ctrl-C alone would end the sweep
    began = time.monotonic()
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    output = finish(process)
    assert time.monotonic() - began < 50  # less than the batch would have taken
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in output
    with open_store(tmp_path / "s" / "sweep.db") as store:
        assert any(type(event) is Reported for event in store.read("s"))


def test_sigterm_leaves_the_sweep_resumable_and_ends_the_process(tmp_path, unharmed):
    process = start(tmp_path, "s", 0.0)
    read(process, 8)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert process.returncode == 143
    assert "ended 5 trials" in finish(start(tmp_path, "s", 0.0))
    trials, reports, ends, _, _ = facts(tmp_path, "s")
    assert (trials, reports, ends) == unharmed[:3]


def test_a_second_process_on_the_same_sweep_is_told_so(tmp_path):
    process = start(tmp_path, "s", 60.0, 1000)
    read(process, 1)
    assert "SweepBusyError" in finish(start(tmp_path, "s", 60.0, 1000))
    process.kill()
    finish(process)


def test_a_damaged_checkpoint_costs_epochs_not_the_trial(tmp_path, unharmed):
    process = start(tmp_path, "s", 0.0)
    read(process, 9)
    process.send_signal(signal.SIGKILL)
    finish(process)
    paused = list((tmp_path / "s").rglob("pause*.ckpt"))
    assert paused
    for path in paused:
        path.write_bytes(path.read_bytes()[:-100])
    output = finish(start(tmp_path, "s", 0.0))
    assert "ended 5 trials" in output
    trials, reports, ends, _, _ = facts(tmp_path, "s")
    assert (trials, reports, ends) == unharmed[:3]
