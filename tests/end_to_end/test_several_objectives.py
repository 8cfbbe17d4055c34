"""Two objectives in real training: who is promoted, what is kept, and that a kill changes nothing."""

import importlib.util
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_tune import Hyperband
from lightning_tune.core.budget import Budget
from lightning_tune.inspect.reading import find_sweep
from lightning_tune.testing.models import tiny_loaders

HERE = Path(__file__).parent


def module_at(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


random_sweeps = module_at(HERE.parent / "schedule" / "random_sweeps.py")
several_script = module_at(HERE / "several_script.py")


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory):
    return several_script.main(tmp_path_factory.mktemp("unharmed"))


def told(result):
    return [
        (
            trial.config,
            trial.state,
            trial.values,
            trial.reason,
            [(r.leg, r.step, r.values) for r in trial.reports],
        )
        for trial in result.trials
    ]


def test_hyperband_promotes_by_non_domination(unharmed):
    first, promotions = 0, 0
    for bracket in itertools.cycle(Hyperband(eta=2).resolve(Budget(full=4)).brackets):
        here = unharmed.trials[first : first + bracket.size]
        if not here:
            break
        cut = bracket.of(len(here), 2)
        for level, above, size in zip(cut.levels, cut.levels[1:], cut.sizes[1:], strict=False):
            costs = {trial.number: r.values for trial in here for r in trial.reports if r.step == level}
            top = random_sweeps.by_domination(costs)[:size]
            assert {trial.number for trial in here if trial.epochs >= above} == set(top)
            here = [trial for trial in here if trial.number in top]
            promotions += len(top)
        first += bracket.size
    assert promotions == 3 + 1 + 0 + 3  # of brackets of 4, 2 and 3 trials, and of the first again


def test_the_front_is_kept_and_comes_back_as_it_was(unharmed):
    points = [trial.values for trial in unharmed.trials]
    for trial in unharmed.trials:
        dominated = any(
            a <= trial.values[0] and b <= trial.values[1] and (a, b) != trial.values for a, b in points
        )
        assert (trial in unharmed.front) == (trial.checkpoint is not None) == (not dominated)
    inputs, labels = next(iter(tiny_loaders()[1]))
    for trial in unharmed.front:
        module = trial.load(several_script.Sized)
        assert torch.nn.functional.cross_entropy(module.net(inputs), labels).item() == trial.values[0]
        assert sum(weights.numel() for weights in module.parameters()) == trial.values[1]


def test_killed_again_and_again_it_ends_the_same(tmp_path, unharmed):
    for lines in (5, 8):
        process = subprocess.Popen(
            [sys.executable, str(HERE / "several_script.py"), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        seen = (line for line in process.stdout if line.startswith("epoch"))
        assert len(list(itertools.islice(seen, lines))) == lines
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    result = several_script.main(tmp_path)
    assert told(result) == told(unharmed)
    assert [trial.number for trial in result.front] == [trial.number for trial in unharmed.front]
    assert result.best.number == unharmed.best.number


def test_it_is_read_back_with_its_front(unharmed):
    history = find_sweep(str(unharmed.folder)).history
    assert [group.number for group in history.front] == [trial.number for trial in unharmed.front]
    assert history.best.number == unharmed.best.number
