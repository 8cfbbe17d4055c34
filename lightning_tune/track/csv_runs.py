"""CSV files of a trial: `metrics.csv`, `hparams.yaml` and `outcome.json` in `csv/` of its folder."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import JSON
from lightning_tune.core.outcome import TrialInfo
from lightning_tune.track.csv_rows import MetricsFile
from lightning_tune.track.facts import hyperparameters, leg_folder
from lightning_tune.track.private import private_folder, write_private


def make(package: ModuleType, budget: Budget, info: TrialInfo) -> Any:
    """Return a CSVLogger that keeps the rows of the trial's earlier legs (see `csv_rows`)."""
    loggers = importlib.import_module(f"{package.__name__}.loggers")
    saving = importlib.import_module(f"{package.__name__}.core.saving")
    logger = loggers.CSVLogger(private_folder(info.folder), name="", version=leg_folder(info, "csv", budget))
    logger._experiment = MetricsFile(logger.log_dir, saving.save_hparams_to_yaml)
    return logger


def settle(logger: Any, info: TrialInfo, facts: dict[str, JSON]) -> None:
    """Write `outcome.json` beside the metrics."""
    folder = private_folder(Path(logger.log_dir))
    plain = {name.removeprefix("tune/"): value for name, value in facts.items()}
    record = {"trial": info.number, "config": hyperparameters(info), **plain}
    write_private(folder / "outcome.json", json.dumps(record, indent=2) + "\n")
