"""A run's configuration, from what its module and datamodule saved with `save_hyperparameters`."""

import math
from typing import Any

from lightning_tune.core.describe import plain
from lightning_tune.core.events import JSON, Config


def config_of(module: Any, datamodule: Any = None) -> Config:
    """Return hyperparameters as a configuration of plain values: the datamodule's begin with `data.`.

    What is not plain becomes its name; keys that begin with an underscore (LightningCLI's own) are left out.

    Example:
        >>> from types import SimpleNamespace
        >>> module = SimpleNamespace(hparams={"lr": 0.1, "act": int, "_instantiator": "cli"})
        >>> config_of(module, SimpleNamespace(hparams={"batch_size": 32}))
        {'lr': 0.1, 'act': 'int', 'data.batch_size': 32}
    """
    own = _plain_items(module)
    data = {} if datamodule is None else _plain_items(datamodule)
    return {**own, **{f"data.{key}": value for key, value in data.items()}}


def _plain_items(part: Any) -> Config:
    hparams = dict(getattr(part, "hparams", None) or {})
    return {str(key): _storable(value) for key, value in hparams.items() if not str(key).startswith("_")}


def _storable(value: Any) -> JSON:
    """Return plain JSON: arrays of one number are numbers, and what JSON has no number for is a word."""
    if isinstance(value, dict):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return plain(value)
