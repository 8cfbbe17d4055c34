"""Processes that know nothing of one another share a sweep: no report is lost, every decision is right."""

import math
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from lightning_tune.core.events import Decided, LegStarted, Reported, TrialEnded, TrialStarted
from lightning_tune.inspect.reading import find_sweep
from lightning_tune.store import open_store

SCRIPT = Path(__file__).with_name("pruner_script.py")
EPOCHS, ETA, RUNGS = 9, 3, (1, 3)
NTH = re.compile(r"rung at (\d+) epochs?: (\d+)\w\w of (\d+), the (?:best goes|top (\d+) go) on")


def launch(store, seed, runs):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(store), str(seed), str(runs), str(EPOCHS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def run_at_once(processes):
    """Let processes that have come so far go on together; return what they print."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate(timeout=300)[0] for process in processes]


def replay(events):
    """Judge every report again, one event at a time: {(trial, step): (action, place, size, top)}.

    Knows nothing of the library: a list of scores a rung, in the order of the sequence numbers.
    """
    best, at_rung, expected = {}, {rung: [] for rung in RUNGS}, {}
    for event in events:
        if not isinstance(event, Reported):
            continue
        best[event.trial] = min(event.values[0], best.get(event.trial, math.inf))
        if event.step in at_rung:
            scores = at_rung[event.step]
            scores.append((best[event.trial], event.trial))
            place = sorted(scores).index((best[event.trial], event.trial))
            top = max(1, len(scores) // ETA)
            action = "continue" if place < top else "stop"
            expected[event.trial, event.step] = (action, place + 1, len(scores), top)
    return expected


def decided(events):
    found = {}
    for event in events:
        if isinstance(event, Decided):
            rung, place, size, top = NTH.fullmatch(event.reason).groups()
            assert int(rung) == event.step
            found[event.trial, event.step] = (event.action, int(place), int(size), int(top or 1))
    return found


def check(store, processes, runs):
    """Run the processes at once and hold what they recorded against the replay."""
    outputs = run_at_once([launch(store, number, runs) for number in range(processes)])
    assert [output.strip() for output in outputs] == ["done"] * processes
    with open_store(store) as opened:
        events = list(opened.read("shared"))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    trials = [event.trial for event in events if isinstance(event, TrialStarted)]
    assert trials == list(range(processes * runs))
    expected = replay(events)
    assert decided(events) == expected
    stopped = {trial: step for (trial, step), (action, *_) in expected.items() if action == "stop"}
    steps = defaultdict(list)
    for event in events:
        if isinstance(event, Reported):
            steps[event.trial].append(event.step)
    assert steps == {trial: list(range(1, int(stopped.get(trial, EPOCHS)) + 1)) for trial in trials}
    ends = {event.trial: (event.state, event.step) for event in events if isinstance(event, TrialEnded)}
    assert ends == {
        trial: ("stopped", stopped[trial]) if trial in stopped else ("completed", EPOCHS) for trial in trials
    }
    return events, stopped


def overlaps(events):
    """Count the moments at which more than one trial was in training."""
    running, count = 0, 0
    for event in events:
        running += isinstance(event, LegStarted) - isinstance(event, TrialEnded)
        count += running > 1
    return count


def test_four_processes_at_once_on_one_sqlite_file(tmp_path):
    events, stopped = check(tmp_path / "sweep.db", processes=4, runs=8)
    assert overlaps(events) > 10
    assert len(stopped) > 10
    costs = [event.values[0] for event in events if isinstance(event, Reported) and event.step == 1]
    assert len(set(costs)) < len(costs)  # some tied


@pytest.mark.slow
def test_two_hundred_runs_of_four_processes(tmp_path):
    events, stopped = check(tmp_path / "sweep.db", processes=4, runs=50)
    assert overlaps(events) > 200
    assert len(stopped) > 100


def test_two_processes_on_postgresql(postgres_url):
    events, stopped = check(postgres_url, processes=2, runs=6)
    assert overlaps(events) > 0
    assert stopped


def test_the_example_runs_as_it_stands(tmp_path):
    example = SCRIPT.parents[2] / "examples" / "pruner.py"
    done = subprocess.run(
        [sys.executable, str(example), "--runs", "3", "--epochs", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LIGHTNING_TUNE_STORE": ""},
    )
    assert done.returncode == 0, done.stderr
    history = find_sweep(str(tmp_path / "sweeps" / "digits-pruner")).history
    assert [trial.ended is not None for trial in history] == [True] * 3
    assert set(history.trials[0].config) >= {"width", "dropout", "lr"}
