"""The formulas of the normalisation layers in plain torch, with their derivatives.

All else is tested by them. One file a family. Each has the forward pass, which returns the output and the
statistics that it used, and a hand-derived backward pass; both are plain functions that torch can
differentiate again.
"""

from lightning_tune.norm.reference.batch import (
    batch_norm,
    batch_norm_backward,
    batch_norm_backward_input,
    batch_norm_backward_sums,
    batch_norm_eval,
    batch_norm_statistics,
    merge,
)
from lightning_tune.norm.reference.group import group_norm, group_norm_backward
from lightning_tune.norm.reference.instance import instance_norm, instance_norm_backward
from lightning_tune.norm.reference.layer import layer_norm, layer_norm_backward, layer_norm_recovered
from lightning_tune.norm.reference.rms import rms_norm, rms_norm_backward, rms_norm_recovered

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_backward_input",
    "batch_norm_backward_sums",
    "batch_norm_eval",
    "batch_norm_statistics",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "layer_norm_recovered",
    "merge",
    "rms_norm",
    "rms_norm_backward",
    "rms_norm_recovered",
]
