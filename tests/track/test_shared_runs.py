from pathlib import Path
from types import ModuleType

import lightning.pytorch
import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_tune.track.loggers import TrialLoggers
from lightning_tune.track.mute import quiet


def test_a_shared_logger_holds_every_configuration_and_outcome(tmp_path: Path, tiny: ModuleType) -> None:
    shared = CSVLogger(tmp_path, name="all", version="")
    with pytest.warns(UserWarning, match="one CSVLogger for the whole sweep"):
        loggers = TrialLoggers(shared, package=lightning.pytorch, sweep="digits", root=tmp_path)
    for number, state in enumerate(["completed", "failed"]):
        info = tiny.info(tmp_path, number)
        opened = loggers.open(info)
        assert opened == [shared]
        with quiet(lightning.pytorch):
            tiny.fit(lightning.pytorch, opened, epochs=1)
        loggers.close(opened, info, tiny.done(state, score=0.5 + number))
    params = yaml.safe_load((tmp_path / "all" / "hparams.yaml").read_text())
    assert (params["trial_0/lr"], params["trial_1/lr"]) == (0.1, 0.05)
    assert (params["trial_0/state"], params["trial_1/state"]) == ("completed", "failed")
    assert "1.5" in (tmp_path / "all" / "metrics.csv").read_text()
    assert not {"log_metrics", "save"} & set(vars(shared))


def test_a_shared_tensorboard_logger_gets_them_as_text(tmp_path: Path, tiny: ModuleType) -> None:
    shared = TensorBoardLogger(tmp_path, name="all", version="")
    with pytest.warns(UserWarning, match="one TensorBoardLogger"):
        loggers = TrialLoggers([shared], package=lightning.pytorch, sweep="digits", root=tmp_path)
    for number in (0, 1):
        info = tiny.info(tmp_path, number)
        loggers.close(loggers.open(info), info, tiny.done())
    events = EventAccumulator(str(tmp_path / "all"))
    events.Reload()
    for number in (0, 1):
        text = (
            events.Tensors(f"tune/trial_{number}/config/text_summary")[0].tensor_proto.string_val[0].decode()
        )
        assert f'"trial": {number}' in text
        assert events.Tensors(f"tune/trial_{number}/outcome/text_summary")
    assert [event.step for event in events.Scalars("tune/score")] == [0, 1]
