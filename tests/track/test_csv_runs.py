import csv
import json
from pathlib import Path
from types import ModuleType

import lightning.pytorch
import pytest
import pytorch_lightning
import yaml

from lightning_tune.track.loggers import TrialLoggers
from lightning_tune.track.mute import quiet


@pytest.mark.parametrize("package", [lightning.pytorch, pytorch_lightning])
def test_a_trial_that_is_killed_and_resumed_has_one_whole_file(
    package: ModuleType, tmp_path: Path, tiny: ModuleType
) -> None:
    loggers = TrialLoggers("csv", package=package, sweep="digits", root=tmp_path)
    info = tiny.info(tmp_path)
    with quiet(package):
        opened = loggers.open(info)
        assert type(opened[0]) is package.loggers.CSVLogger
        trainer = tiny.fit(package, opened, epochs=2)
        trainer.save_checkpoint(tmp_path / "two.ckpt")
        tiny.fit(
            package, opened, epochs=3, ckpt_path=tmp_path / "two.ckpt"
        )  # not closed: as a kill would leave it
        resumed = tiny.info(tmp_path, leg=1, resumed=True)
        again = loggers.open(resumed)
        tiny.fit(package, again, epochs=4, ckpt_path=tmp_path / "two.ckpt")
        loggers.close(again, resumed, tiny.done())
    folder = info.folder / "csv"
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["val_loss"]] == ["1", "3", "5", "7"]
    assert [row["step"] for row in rows if row["train_loss"]] == [str(step) for step in range(8)]
    outcome = json.loads((folder / "outcome.json").read_text())
    assert outcome == {
        "trial": 0,
        "config": {**info.config, "seed": 7, "trial": 0},
        "state": "completed",
        "epochs": 2,
        "score": 0.5,
        "best_epoch": 1,
        "reason": "trained 2 epochs",
    }
    assert yaml.safe_load((folder / "hparams.yaml").read_text()) == outcome["config"]


def test_a_failed_trials_outcome_names_its_error(tmp_path: Path, tiny: ModuleType) -> None:
    loggers = TrialLoggers("csv", package=lightning.pytorch, sweep="digits", root=tmp_path)
    info = tiny.info(tmp_path, 3)
    opened = loggers.open(info)
    loggers.close(
        opened, info, tiny.done("failed", score=None, cause="exception", error="Trace\nValueError: bad")
    )
    outcome = json.loads((info.folder / "csv" / "outcome.json").read_text())
    assert (outcome["state"], outcome["error"], "score" in outcome) == ("failed", "ValueError: bad", False)
