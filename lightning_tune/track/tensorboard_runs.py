"""TensorBoard runs: one a trial, in `tensorboard/` of its folder, and the HPARAMS tab over all of them.

The tab takes its columns from one "experiment" record if any run has one, so we write none: TensorBoard then
gathers the columns from every run, the keys of conditional branches too. A run's start record holds the
configuration and is written when the trial opens, its end record says whether it failed; so failed trials are
rows as well.
"""

import importlib
import json
from types import ModuleType
from typing import Any

from lightning_tune._imports import available
from lightning_tune.core.budget import Budget
from lightning_tune.core.events import JSON
from lightning_tune.core.outcome import Outcome, TrialInfo
from lightning_tune.core.trial import ENDED
from lightning_tune.track.facts import hyperparameters, leg_folder
from lightning_tune.track.private import private_folder


def make(package: ModuleType, budget: Budget, info: TrialInfo) -> Any:
    """Return a TensorBoardLogger of the trial; when it is resumed, an event file is added to the same run."""
    loggers = importlib.import_module(f"{package.__name__}.loggers")
    folder = private_folder(info.folder)
    version = leg_folder(info, "tensorboard", budget)
    private_folder(folder / version)
    return loggers.TensorBoardLogger(folder, name="", version=version, default_hp_metric=False)


def begin(logger: Any, info: TrialInfo) -> None:
    """Log the configuration: to `hparams.yaml`, and as the run's start record."""
    params = hyperparameters(info)
    logger.log_hyperparams(params)
    if available("tensorboard"):
        logger.experiment._get_file_writer().add_summary(_start_record(params))


def settle(logger: Any, info: TrialInfo, outcome: Outcome, facts: dict[str, JSON]) -> None:
    """Log the outcome: the score (or scores) as scalars, the rest as text and as the run's end record."""
    score = {name: value for name, value in facts.items() if name.startswith("tune/score")}
    if not available(
        "tensorboard"
    ):  # tensorboardX alone: Lightning's own record, which calls every run a success
        logger.log_hyperparams(hyperparameters(info), score or {"tune/score": float("nan")})
    elif outcome.state in ENDED:
        logger.log_metrics(score, step=int(outcome.step))
        logger.experiment._get_file_writer().add_summary(_end_record(failed=outcome.state == "failed"))
    logger.experiment.add_text("tune/outcome", _block(facts), int(outcome.step))
    logger.experiment.close()


def note(logger: Any, info: TrialInfo, what: str, facts: dict[str, JSON]) -> None:
    """Add a trial's facts as text to a logger that all trials share (it has one set of hyperparameters)."""
    logger.experiment.add_text(f"tune/trial_{info.number}/{what}", _block(facts))
    logger.experiment.flush()


def _start_record(params: dict[str, JSON]) -> Any:
    """Build a session-start summary (torch's `hparams` writes a bool as a number)."""
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo()
    for name, value in params.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = value if isinstance(value, str) else json.dumps(value)
    return _record(metadata.SESSION_START_INFO_TAG, session_start_info=start)


def _end_record(*, failed: bool) -> Any:
    """Build a session-end summary (torch's `hparams` can only say success)."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    end = plugin_data_pb2.SessionEndInfo(status=status)
    return _record(metadata.SESSION_END_INFO_TAG, session_end_info=end)


def _record(tag: str, **content: Any) -> Any:
    """Wrap a message as TensorBoard's HPARAMS plugin reads it: in the metadata of an empty summary."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString())
    return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])


def _block(facts: dict[str, JSON]) -> str:
    """Return facts as an indented block, which Markdown leaves alone."""
    return "\n".join(f"    {line}" for line in json.dumps(facts, indent=2).splitlines())
