from pathlib import Path
from types import ModuleType
from typing import Any

import lightning.pytorch
import pytest
import pytorch_lightning
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from lightning_tune.track.loggers import TrialLoggers
from lightning_tune.track.mute import quiet


def _tab(folder: Path) -> tuple[set[str], dict[str, Any]]:
    """Ask TensorBoard's own back end for the columns and rows of its HPARAMS tab."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer(
        tensor_size_guidance={"scalars": 100, "tensors": 100}
    )
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
    context = backend_context.Context(TBContext(data_provider=provider, logdir=str(folder)))
    request = RequestContext()
    metadata = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(request, "", True, metadata, None)
    asked = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=100, include_metrics=True)
    asked.allowed_statuses.extend(
        [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING, api_pb2.STATUS_UNKNOWN]
    )
    handler = list_session_groups.Handler(request, context, "", asked)
    groups = {group.sessions[0].name: group for group in handler.run().session_groups}
    return {column.name for column in experiment.hparam_infos}, groups


@pytest.mark.parametrize("package", [lightning.pytorch, pytorch_lightning])
def test_the_hparams_tab_shows_every_trial_with_its_outcome(
    package: ModuleType, tmp_path: Path, tiny: ModuleType
) -> None:
    loggers = TrialLoggers("tensorboard", package=package, sweep="digits", root=tmp_path)
    good = tiny.info(
        tmp_path, 0, config={"lr": 0.1, "optimizer": "sgd", "momentum": 0.9, "on": True, "none": None}
    )
    bad = tiny.info(tmp_path, 1, config={"lr": 0.2, "optimizer": "adam", "betas": [0.9, 0.99]})
    with quiet(package):
        opened = loggers.open(good)
        assert type(opened[0]) is package.loggers.TensorBoardLogger
        tiny.fit(package, opened)
        loggers.close(opened, good, tiny.done("paused"))
        resumed = tiny.info(tmp_path, 0, config=good.config, leg=1, resumed=True)
        loggers.close(loggers.open(resumed), resumed, tiny.done())
        failure = tiny.done("failed", score=None, error="ValueError: bad", cause="exception")
        loggers.close(loggers.open(bad), bad, failure)
    columns, groups = _tab(tmp_path)
    assert columns == {"lr", "optimizer", "momentum", "on", "none", "betas", "seed", "trial"}
    first, second = groups["trials/0/tensorboard"], groups["trials/1/tensorboard"]
    assert first.hparams["lr"].number_value == 0.1
    assert (first.hparams["on"].bool_value, first.hparams["none"].string_value) == (True, "null")
    assert second.hparams["betas"].string_value == "[0.9, 0.99]"
    scores = {value.name.tag: value.value for value in first.metric_values}
    assert scores["tune/score"] == 0.5
    assert "val_loss" in scores
    assert first.sessions[0].status == api_pb2.STATUS_SUCCESS
    assert second.sessions[0].status == api_pb2.STATUS_FAILURE


def test_event_files_hold_metrics_and_the_outcome_as_text(tmp_path: Path, tiny: ModuleType) -> None:
    loggers = TrialLoggers(True, package=lightning.pytorch, sweep="digits", root=tmp_path)
    info = tiny.info(tmp_path)
    with quiet(lightning.pytorch):
        opened = loggers.open(info)
        tiny.fit(lightning.pytorch, opened)
        loggers.close(opened, info, tiny.done(reason="rung 2: 5th of 9"))
    events = EventAccumulator(str(info.folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("val_loss")] == [1, 3]
    assert events.Scalars("tune/score")[0].value == 0.5
    text = events.Tensors("tune/outcome/text_summary")[0].tensor_proto.string_val[0].decode()
    assert '"tune/reason": "rung 2: 5th of 9"' in text
    assert (info.folder / "tensorboard" / "hparams.yaml").is_file()


def test_several_objectives_are_a_column_each(tmp_path: Path, tiny: ModuleType) -> None:
    loggers = TrialLoggers("tensorboard", package=lightning.pytorch, sweep="digits", root=tmp_path)
    info = tiny.info(tmp_path, 0)
    with quiet(lightning.pytorch):
        opened = loggers.open(info)
        outcome = tiny.done(score=None, scores={"val_loss": 0.5, "size": 9.0})
        loggers.close(opened, info, outcome)
    _, groups = _tab(tmp_path)
    found = {value.name.tag: value.value for group in groups.values() for value in group.metric_values}
    assert found == {"tune/score/val_loss": 0.5, "tune/score/size": 9.0}
