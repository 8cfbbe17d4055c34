"""Hyperparameters as a configuration that every store takes."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_tune.callbacks.hparams import config_of
from lightning_tune.store.codec import json_to_text


def of(**hparams):
    return config_of(SimpleNamespace(hparams=hparams))


def test_plain_values_stay_what_they_are():
    values = {
        "lr": 0.1,
        "layers": 2,
        "bias": True,
        "act": "relu",
        "none": None,
        "sizes": [1, 2],
        "x": {"y": 1},
    }
    assert of(**values) == values


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (torch.tensor(2), 2),
        (torch.tensor([1, 2]), "Tensor"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ((1, math.inf), [1, "inf"]),
        ({"a": np.float64("nan")}, {"a": "nan"}),
        (torch.nn.ReLU, "ReLU"),
        (torch.nn.ReLU(), "ReLU"),
    ],
)
def test_what_json_lacks_becomes_a_number_or_a_word(value, plain):
    found = of(key=value)["key"]
    assert found == plain
    assert type(found) is type(plain)
    json_to_text({"key": found}, "a configuration")


def test_the_datamodules_keys_have_their_prefix_and_the_clis_own_are_left_out():
    module = SimpleNamespace(hparams={"lr": 1, "_instantiator": "x", "_class_path": "y"})
    assert config_of(module, SimpleNamespace(hparams={"batch_size": 8})) == {"lr": 1, "data.batch_size": 8}


def test_nothing_saved_is_an_empty_configuration():
    assert config_of(SimpleNamespace()) == {}
    assert config_of(SimpleNamespace(hparams=None), SimpleNamespace()) == {}
