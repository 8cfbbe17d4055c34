"""Sweeps that follow predicted learning curves, with a real Trainer: freeze-thaw, and stopping by curves."""

from collections import Counter

import lightning.pytorch as pl
import pytest

from lightning_tune import ASHA, CurveStopping, Float, FreezeThaw, Int, TuneLoop
from lightning_tune.testing.models import tiny_data, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)
SPACE = {"lr": Float(1e-4, 1e-1, log=True), "width": Int(4, 16)}


class Count(pl.Callback):
    """Counts the epochs that are trained, over all Trainers that it is copied to."""

    trained: Counter = Counter()

    def on_train_epoch_start(self, trainer, module):
        self.trained[module.lr, trainer.current_epoch] += 1


@pytest.mark.parametrize(
    "given",
    [
        {"search": "freeze_thaw"},
        {"search": FreezeThaw(starts=4, interval=2)},
        {"search": "random", "schedule": "curves"},
        {"search": "random", "schedule": CurveStopping(ASHA(min_budget=4, eta=2), threshold=0.3)},
    ],
)
def test_no_epoch_is_trained_twice_and_the_record_says_who_trained_how_far(tmp_path, given):
    Count.trained = Counter()
    trainer = {"max_epochs": 8, "accelerator": "cpu", "callbacks": [Count()]}
    given = {
        "monitor": "val_loss",
        "max_trials": 7,
        "trainer": trainer,
        "logger": False,
        "name": "s",
        **given,
    }
    result = TuneLoop(SPACE, root_dir=tmp_path, **given).fit(Tiny, datamodule=TinyData)
    assert set(Count.trained.values()) == {1}
    assert len(Count.trained) == sum(len(trial.reports) for trial in result.trials)
    assert len(result.trials) == 7
    assert {trial.state for trial in result.trials} <= {"completed", "stopped", "paused"}
    assert any(trial.state == "completed" for trial in result.trials)
    assert result.best.checkpoint is not None
    short = [trial for trial in result.trials if trial.state == "stopped"]
    assert all(trial.reason for trial in short)
