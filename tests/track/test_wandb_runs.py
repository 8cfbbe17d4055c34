from pathlib import Path
from types import ModuleType

import lightning.pytorch
import pytest
import pytorch_lightning
import wandb
from lightning.pytorch.loggers import WandbLogger

from lightning_tune.errors import ArgumentError
from lightning_tune.track.loggers import TrialLoggers
from lightning_tune.track.mute import quiet
from lightning_tune.track.wandb_runs import run_id


@pytest.fixture(autouse=True)
def _no_run_is_left() -> None:
    assert wandb.run is None


def test_every_trial_is_a_run_with_its_configuration_and_outcome(
    tmp_path: Path, tiny: ModuleType, wandb_files: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    package = lightning.pytorch
    loggers = TrialLoggers("wandb", package=package, sweep="digits", root=tmp_path)
    first, failed = tiny.info(tmp_path, 0), tiny.info(tmp_path, 1)
    with quiet(package):
        opened = loggers.open(first)
        assert type(opened[0]) is WandbLogger
        trainer = tiny.fit(package, opened, epochs=1)
        trainer.save_checkpoint(tmp_path / "one.ckpt")
        tiny.fit(
            package, opened, epochs=2, ckpt_path=tmp_path / "one.ckpt"
        )  # a periodic save: the same run goes on
        loggers.close(opened, first, tiny.done("paused", reason="rung 0"))
        assert wandb.run is None
        error = "Traceback\nValueError: bad"
        outcome = tiny.done("failed", score=None, reason="it raised", cause="exception", error=error)
        loggers.close(loggers.open(failed), failed, outcome)
        resumed = tiny.info(tmp_path, 0, leg=1, resumed=True)
        loggers.close(loggers.open(resumed), resumed, tiny.done())
    legs, (other,) = wandb_files.read_runs(first.folder), wandb_files.read_runs(failed.folder)
    assert [run.id for run in legs] == [run_id(first)] * 2 != [other.id] * 2
    for run, info in [(legs[0], first), (legs[1], first), (other, failed)]:
        assert (run.group, run.job_type, run.name) == ("digits", "trial", f"digits-{info.number}")
        expected = {**info.config, "seed": 7, "trial": info.number}
        assert {name: run.config.get(name) for name in expected} == expected
    assert [row["trainer/global_step"] for row in legs[0].rows if "val_loss" in row] == [1, 3]
    assert (legs[0].summary["tune/state"], legs[0].summary["tune/reason"], legs[0].exit_code) == (
        "paused",
        "rung 0",
        0,
    )
    assert (legs[1].summary["tune/state"], legs[1].summary["tune/score"]) == ("completed", 0.5)
    assert (legs[1].summary["tune/epochs"], legs[1].exit_code) == (2, 0)
    assert (other.summary["tune/state"], other.summary["tune/error"]) == ("failed", "ValueError: bad")
    assert ("tune/score" in other.summary, other.exit_code) == (False, 1)
    assert capfd.readouterr() == ("", "")


def test_a_wandb_logger_is_a_template(
    tmp_path: Path, tiny: ModuleType, wandb_files: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    package = pytorch_lightning
    template = package.loggers.WandbLogger(
        project="mine", offline=True, tags=["a"], prefix="p", config={"by": "me"}
    )
    loggers = TrialLoggers(template, package=package, sweep="digits", root=tmp_path)
    for number in (0, 1):
        info = tiny.info(tmp_path, number)
        with quiet(package):
            opened = loggers.open(info)
            assert type(opened[0]) is package.loggers.WandbLogger
            assert opened[0] is not template
            opened[0].log_metrics({"x": 1.0}, step=0)
            loggers.close(opened, info, tiny.done())
    runs = wandb_files.read_runs(tmp_path)
    assert [(run.project, run.tags, run.group, run.config["by"], run.config["trial"]) for run in runs] == [
        ("mine", ["a"], "digits", "me", 0),
        ("mine", ["a"], "digits", "me", 1),
    ]
    assert runs[0].rows[0]["p-x"] == 1.0
    assert template._experiment is None


def test_an_open_run_is_refused_before_anything_trains(tmp_path: Path) -> None:
    arguments = {"package": lightning.pytorch, "sweep": "digits", "root": tmp_path}
    run = wandb.init(dir=tmp_path, settings=wandb.Settings(console="off", silent=True))
    try:
        with pytest.raises(ArgumentError, match=rf"run {run.id} is open.*wandb\.finish"):
            TrialLoggers("wandb", **arguments)
    finally:
        run.finish()
    with pytest.raises(ArgumentError, match="whose run is open already"):
        TrialLoggers(WandbLogger(experiment=run), **arguments)
    with pytest.raises(ArgumentError, match="names W&B twice"):
        TrialLoggers(["wandb", WandbLogger()], **arguments)


def test_a_run_that_cannot_be_opened_costs_the_logger_not_the_trial(
    tmp_path: Path, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(**arguments: object) -> None:
        calls.append(arguments)
        raise wandb.errors.CommError("no route\nto host")

    package = lightning.pytorch
    loggers = TrialLoggers("wandb", package=package, sweep="digits", root=tmp_path)
    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.warns(
        UserWarning, match=r"WandbLogger failed \(opening it: CommError: no route\)\. Trial 0 trains on"
    ):
        opened = loggers.open(tiny.info(tmp_path, 0))
    with quiet(package):
        tiny.fit(package, opened, epochs=1)
    loggers.close(opened, tiny.info(tmp_path, 0), tiny.done())
    for number in range(1, 6):
        assert loggers.open(tiny.info(tmp_path, number))[0].experiment.anything(1) is None
    assert len(calls) == 3  # then it is not tried again


@pytest.mark.parametrize("old", [False, True])
def test_online_without_credentials_is_refused_before_anything_trains(
    old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OldApi:
        api_key: str | None = None

    def old_login(key: str | None = None) -> bool:
        raise AssertionError("it would ask the user")

    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    if old:
        monkeypatch.setattr(wandb, "login", old_login)
        monkeypatch.setattr(wandb, "api", OldApi)
    else:
        monkeypatch.setattr(wandb, "login", lambda prompt, verify: False)
    arguments = {"package": lightning.pytorch, "sweep": "digits", "root": tmp_path}
    with pytest.raises(ArgumentError, match="no API key here.*wandb login.*WANDB_MODE=offline"):
        TrialLoggers("wandb", **arguments)
    TrialLoggers(WandbLogger(offline=True), **arguments)
    TrialLoggers(WandbLogger(settings=wandb.Settings(mode="offline")), **arguments)
    if old:
        OldApi.api_key = "x"
        TrialLoggers("wandb", **arguments)
