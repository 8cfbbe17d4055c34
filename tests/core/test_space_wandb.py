"""W&B sweeps as spaces: the distributions of W&B's schema, whole files, and what a space lacks."""

import math

import numpy as np
import pytest

from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.errors import SpaceError

SWEEP = """
program: train.py
method: bayes
metric: {name: val_loss, goal: minimize}
parameters:
  lr: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}
  batch_size: {distribution: q_log_uniform_values, q: 8, min: 32, max: 256}
  dropout: {values: [0.3, 0.4, 0.5]}
  epochs: {value: 1}
  layers: {min: 1, max: 8}
  decay: {min: 0.0, max: 0.1}
  data:
    parameters:
      shift: {distribution: int_uniform, min: 0, max: 4}
  encoder:
    parameters:
      width: {distribution: q_uniform, q: 16, min: 20, max: 130}
      deep:
        parameters:
          act: {distribution: categorical, values: [relu, gelu]}
early_terminate: {type: hyperband, min_iter: 3}
"""


def test_a_whole_sweep_file():
    assert Space.from_wandb(SWEEP) == Space(
        {
            "lr": Float(1e-5, 0.1, log=True),
            "batch_size": Choice([32, 40, 48, 64, 80, 96, 120, 152, 192, 240, 256], ordered=True),
            "dropout": Choice([0.3, 0.4, 0.5]),
            "epochs": 1,
            "layers": Int(1, 8),
            "decay": Float(0, 0.1),
            "data.shift": Int(0, 4),
            "encoder.width": Int(32, 128, step=16),
            "encoder.deep.act": Choice(["relu", "gelu"]),
        }
    )


@pytest.mark.parametrize(
    ("parameter", "dimension"),
    [
        ({"value": {"type": "float"}}, {"type": "float"}),
        ({"distribution": "constant", "value": None}, None),
        ({"values": [[1], {"a": 1}, None, True, 1]}, Choice([[1], {"a": 1}, None, True, 1])),
        ({"min": 1, "max": 2.0}, Float(1, 2)),
        ({"distribution": "uniform", "min": 1, "max": 2}, Float(1, 2)),
        ({"distribution": "log_uniform", "min": 0, "max": 1}, Float(1, math.e, log=True)),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 1}, Float(1 / math.e, 1, log=True)),
        ({"distribution": "inv_log_uniform_values", "min": 0.1, "max": 1}, Float(0.1, 1, log=True)),
        ({"distribution": "q_uniform", "min": 0, "max": 10}, Int(0, 10)),
        ({"distribution": "q_uniform", "min": 0.05, "max": 1.0, "q": 0.1}, Float(0.1, 1, step=0.1)),
        ({"distribution": "q_uniform", "min": -7, "max": 7, "q": 5}, Int(-5, 5, step=5)),
        ({"distribution": "q_log_uniform_values", "min": 0.5, "max": 100.5, "q": 1}, Int(1, 100, log=True)),
        ({"distribution": "q_log_uniform", "min": 0, "max": math.log(100.5)}, Int(1, 100, log=True)),
        (
            {"distribution": "q_log_uniform_values", "min": 0.1, "max": 1, "q": 0.1},
            Choice([0.1, 0.2, 0.4, 0.8, 1.0], ordered=True),
        ),
    ],
)
def test_distributions(parameter, dimension):
    assert Space.from_wandb({"x": parameter}) == Space({"x": dimension})


def test_inverse_log_uniform_is_what_wandb_defines():
    """`log(1/x)` uniform on [min, max]: the quantiles of 1/x are geometric."""
    (dimension,) = Space.from_wandb(
        {"x": {"distribution": "inv_log_uniform", "min": -1, "max": 2}}
    ).spec.values()
    quantiles = [math.log(1 / dimension.from_unit(unit)) for unit in (0, 0.25, 0.5, 0.75, 1)]
    assert quantiles == pytest.approx([2, 1.25, 0.5, -0.25, -1])


@pytest.mark.parametrize(
    ("low", "high", "q"), [(32, 256, 8), (1, 1000, 3), (1e-4, 1.0, 1e-4), (1.0, 100.0, 0.001), (64, 128, 32)]
)
def test_thinned_multiples_follow_the_logarithm(low, high, q):
    parameter = {"distribution": "q_log_uniform_values", "min": low, "max": high, "q": q}
    (choice,) = Space.from_wandb({"x": parameter}).spec.values()
    values = np.array(choice.options, dtype=float)
    assert choice.ordered
    assert len(values) <= 34
    assert np.all(np.diff(values) > 0)
    assert np.allclose(values / q, np.round(values / q))
    assert values[0] >= low
    assert high - q < values[-1] <= high
    ratios = values[1:] / values[:-1]
    assert ratios.max() <= max(ratios[0], (high / low) ** (1 / 32)) * 1.6


def test_sections_files_and_a_parameter_named_parameters():
    section = {"lr": {"min": 0.0, "max": 1.0}}
    expected = Space({"lr": Float(0, 1)})
    assert Space.from_wandb(section) == expected
    assert Space.from_wandb({"parameters": section}) == expected
    assert Space.from_wandb({"method": "grid", "parameters": section}) == expected
    assert Space.from_wandb("lr: {min: 0.0, max: 1.0}") == expected
    nested = Space.from_wandb({"lr": {"value": 1}, "parameters": {"parameters": section}})
    assert nested == Space({"lr": 1, "parameters.lr": Float(0, 1)})


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (
            {"distribution": "normal", "mu": 0, "sigma": 1},
            "`x`: the distribution 'normal' has no counterpart here; there are",
        ),
        ({"distribution": "beta"}, "`x`: the distribution 'beta'"),
        ({"distribution": ["uniform"]}, "`x`: the distribution"),
        (
            {"values": [1, 2], "probabilities": [0.1, 0.9]},
            "`x`: the distribution 'categorical_w_probabilities'",
        ),
        ({"distribution": "uniform", "min": 0}, "`x`: the distribution 'uniform' needs `max`"),
        ({"min": 0}, "`x`: it needs `min` and `max`"),
        ({}, "`x`: it needs `min` and `max`"),
        ({"min": 0, "max": 1, "q": 2}, "`x`: the distribution 'int_uniform' takes no 'q'"),
        ({"min": 1, "max": 1}, "`x`: `low` must be below `high`"),
        ({"min": "1e-5", "max": 1}, "`x`: `low` must be a plain int or float.*write 1.0e-5"),
        (
            {"distribution": "q_uniform", "min": "1e-5", "max": 1, "q": 1},
            "`x`: `min` must be a finite number.*write 1.0e-5",
        ),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "`x`: `q` must be positive"),
        ({"distribution": "q_uniform", "min": 1, "max": 9, "q": 8}, "`x`: fewer than two multiples of q=8"),
        ({"distribution": "q_log_uniform_values", "min": 0, "max": 9}, "`x`: `min` must be positive"),
        ({"distribution": "log_uniform", "min": 1, "max": 1000}, "`x`: `max` is an exponent of e.*`_values`"),
        ({"distribution": "int_uniform", "min": 1.5, "max": 3}, "`x`: `low` must be a plain int"),
        ({"values": 3}, "`x`: `values` must be a list"),
        ({"values": []}, "`x`: `options` must hold at least one option"),
        ({"parameters": {"y": {"value": 1}}, "value": 3}, "`x` has nested `parameters` and more"),
        ({"parameters": 3}, "`x` must be a mapping from name to parameter"),
        ({"parameters": {"y": 3}}, "`x.y` must be a mapping"),
        (3, "`x` must be a mapping"),
    ],
)
def test_what_a_space_lacks_is_named(parameter, words):
    with pytest.raises(SpaceError, match=words):
        Space.from_wandb({"x": parameter})


@pytest.mark.parametrize("section", [None, 3, [], "3", "- a"])
def test_what_is_no_section_is_refused(section):
    with pytest.raises(SpaceError, match="`parameters` must be a mapping"):
        Space.from_wandb(section)


def test_a_key_given_nested_and_with_a_dot_is_refused():
    with pytest.raises(SpaceError, match="`a.b` is given twice"):
        Space.from_wandb({"a.b": {"value": 1}, "a": {"parameters": {"b": {"value": 2}}}})
