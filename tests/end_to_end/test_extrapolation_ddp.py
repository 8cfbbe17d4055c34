"""Two ranks of one run predict and decide alike: rank 0 for both, errors too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_tune.core.events import Reported, TrialEnded
from lightning_tune.curves.posterior import extrapolate
from lightning_tune.store import open_store

SCRIPT = Path(__file__).with_name("extrapolation_ddp_script.py")
FLAT = [0.7 - 0.3 / epoch**2 for epoch in range(1, 15)]
RISING = [0.99 - 0.5 / epoch for epoch in range(1, 15)]


def witnessed(folder, fit):
    """What both ranks saw, which must be the same (but that rank 0 alone goes by what it measured)."""
    first, second = (json.loads((folder / f"out-{fit}-{rank}").read_text()) for rank in (0, 1))
    assert first == second
    return first


def by_hand(values):
    seen = np.array([values], dtype=np.float32).astype(float)
    return extrapolate(seen, at=14, mode="max", bounds=(0, 1)).prob_better(0.8)[0]


def test_two_processes_of_ddp_predict_stop_and_fail_together(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "ddp", str(tmp_path / "sweep.db"), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["StoreError"] * 2
    hopeless = [by_hand(FLAT[:epoch]) < 0.05 for epoch in range(4, 14)]
    stop = next(epoch for epoch in range(5, 14) if hopeless[epoch - 5] and hopeless[epoch - 4])
    assert not any(by_hand(RISING[:epoch]) < 0.05 for epoch in range(4, 14))
    good, bad = witnessed(tmp_path, "good"), witnessed(tmp_path, "bad")
    assert (good["epochs"], good["reason"], good["error"]) == (14, "", "")
    assert (bad["epochs"], bad["error"]) == (stop, "")
    assert bad["reason"].startswith(f"epoch {stop}: ")
    assert bad["metrics"]["tune/p_beats_best"] == pytest.approx(by_hand(FLAT[:stop]), rel=1e-4)
    with open_store(tmp_path / "sweep.db") as store:
        events = list(store.read("ddp"))
    reports = [event.values[0] for event in events if isinstance(event, Reported)]
    assert reports == pytest.approx([*RISING, *FLAT[:stop]], rel=1e-6)
    ends = [(event.trial, event.state) for event in events if isinstance(event, TrialEnded)]
    assert ends == [(0, "completed"), (1, "stopped")]
    assert "cannot be made: there is no folder" in witnessed(tmp_path, "broken")["error"]
