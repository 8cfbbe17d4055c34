"""The norms as functions: torch.nn.functional's names, arguments and results, and a choice of who computes.

Each takes `backend`, one of "auto", "triton", "cpp", "aten" and "reference" (`dispatch.py`). What torch
refuses is refused by torch, in its words. The formulas are in `reference/`, the kernels in `kernels/` and
`cpp/`.
"""

from lightning_tune.norm.channel_functions import Activation, batch_norm, batch_norm_act
from lightning_tune.norm.instance_functions import group_norm, instance_norm
from lightning_tune.norm.row_functions import add_layer_norm, add_rms_norm, layer_norm, rms_norm
from lightning_tune.norm.textbook import textbook_batch_norm

__all__ = [
    "Activation",
    "add_layer_norm",
    "add_rms_norm",
    "batch_norm",
    "batch_norm_act",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "rms_norm",
    "textbook_batch_norm",
]
