"""Two hundred small trials in one process: memory stays where it was after the first twenty."""

import os
import subprocess
import sys

SCRIPT = """
import sys
import lightning.pytorch as pl
import psutil
from lightning_tune import Float, Int, TuneLoop
from lightning_tune.testing.models import tiny_data, tiny_module

Tiny, seen = tiny_module(pl), []


class Measured(Tiny):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        seen.append(psutil.Process().memory_info().rss)


TuneLoop(
    {"lr": Float(1e-3, 1e-1, log=True), "width": Int(4, 64)},
    monitor="val_loss", max_trials=200, logger="csv",
    trainer={"max_epochs": 1, "accelerator": "cpu"}, root_dir=sys.argv[1], name="s",
).fit(Measured, datamodule=tiny_data(pl))
print(len(seen), max(seen[20:]) / seen[20])
"""


def test_memory_does_not_grow(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LIGHTNING_TUNE_SCREEN": "none"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    trials, growth = done.stdout.split()
    assert int(trials) == 200
    assert float(growth) < 1.05
