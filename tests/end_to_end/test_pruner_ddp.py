"""Two ranks of one run decide alike: rank 0 for both, errors too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_tune.core.events import Reported, TrialEnded, TrialStarted
from lightning_tune.store import open_store

SCRIPT = Path(__file__).with_name("pruner_ddp_script.py")


def run(strategy, folder):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), strategy, str(folder / "sweep.db"), str(folder / "out")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def witnessed(folder, fit):
    """What both ranks saw, which must be the same."""
    first, second = (json.loads((folder / f"out-{fit}-{rank}").read_text()) for rank in (0, 1))
    assert first == second
    return first


def check(folder, runs):
    assert witnessed(folder, "good") == {"epochs": 4, "rung": 3, "error": ""}
    assert witnessed(folder, "bad") == {"epochs": 1, "rung": 1, "error": ""}
    with open_store(folder / "sweep.db") as store:
        events = list(store.read("ddp"))
    assert sum(isinstance(event, TrialStarted) for event in events) == runs
    reports = [(e.trial, e.step, e.values) for e in events if isinstance(e, Reported)]
    assert reports[:5] == [*((0, step, (1.0,)) for step in (1, 2, 3, 4)), (1, 1, (2.0,))]
    ends = [(e.trial, e.state, e.reason) for e in events if isinstance(e, TrialEnded)]
    assert ends[:2] == [
        (0, "completed", "trained 4 epochs"),
        (1, "stopped", "rung at 1 epoch: 2nd of 2, the best goes on"),
    ]


def test_two_processes_of_ddp_stop_raise_and_fail_together(tmp_path):
    assert sorted(run("ddp", tmp_path)) == 2 * ["StoreError"] + 2 * ["TrialPrunedError"]
    check(tmp_path, runs=3)
    raised = witnessed(tmp_path, "raised")
    assert raised["epochs"] == 1
    assert raised["error"] == "TrialPrunedError: rung at 1 epoch: 3rd of 3, the best goes on"
    assert "cannot be made: there is no folder" in witnessed(tmp_path, "broken")["error"]


@pytest.mark.slow
def test_two_spawned_processes_decide_alike(tmp_path):
    run("ddp_spawn", tmp_path)
    check(tmp_path, runs=2)
