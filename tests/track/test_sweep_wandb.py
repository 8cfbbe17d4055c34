"""A whole sweep logged to W&B offline: its files, read back, hold every configuration and every outcome."""

import lightning.pytorch as pl
import pytest

from lightning_tune import Choice, Float, TuneLoop
from lightning_tune.testing.models import tiny_data, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)


class Sometimes(Tiny):
    """Fails, diverges or trains, as `how` says."""

    def __init__(self, lr: float, how: str = "fine") -> None:
        super().__init__(lr=lr)
        self.how = how

    def validation_step(self, batch, index):
        if self.how == "raise":
            raise ValueError("a bad batch")
        self.log("val_acc", float("nan") if self.how == "nan" else 0.5 + self.current_epoch / 10)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    root = tmp_path_factory.mktemp("sweeps")
    result = TuneLoop(
        {"lr": Float(0.01, 0.1), "how": Choice(["fine", "raise", "nan"])},
        monitor="val_acc",
        mode="max",
        max_trials=3,
        baseline=[{"lr": 0.01 * (n + 1), "how": how} for n, how in enumerate(["fine", "raise", "nan"])],
        trainer={"max_epochs": 2, "accelerator": "cpu"},
        logger="wandb",
        root_dir=root,
        name="digits",
    ).fit(Sometimes, datamodule=TinyData)
    return root / "digits", result


def test_every_configuration_and_outcome_is_in_the_files(sweep, wandb_files):
    folder, result = sweep
    runs = {run.config["trial"]: run for run in wandb_files.read_runs(folder)}
    assert sorted(runs) == [0, 1, 2]
    for trial in result.trials:
        run = runs[trial.number]
        assert (run.group, run.job_type, run.name) == ("digits", "trial", f"digits-{trial.number}")
        assert {key: run.config[key] for key in trial.config} == trial.config
        assert run.config["seed"] == trial.seed
        assert run.summary["tune/state"] == trial.state
        assert run.summary["tune/reason"].startswith(trial.reason.partition(" (")[0])
        assert run.summary.get("tune/score") == trial.score
    assert [runs[number].exit_code for number in range(3)] == [0, 1, 1]
    assert [row["val_acc"] for row in runs[0].rows if "val_acc" in row] == pytest.approx([0.5, 0.6])
