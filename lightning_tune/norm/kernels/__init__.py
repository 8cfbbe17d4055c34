"""Fused kernels for the normalisation layers, in Triton: the only place that imports it.

In three strata: kernels (`row_kernels`, …) run on the GPU; launchers (`rows`, …) are plain functions that
make room for outputs and start kernels; operators (`row_operators`, …) make them known to torch, with
gradients. This module itself imports no triton, so that one may ask whether the rest can be used.
"""

import functools
import importlib.util

import torch
from torch import Tensor

_DTYPES = {torch.float32, torch.bfloat16, torch.float16}


def usable(input: Tensor) -> str | None:
    """Say why the kernels cannot take a tensor, or return None if they can.

    Example:
        >>> usable(torch.zeros(2, 3, dtype=torch.float64))
        'the kernels compute in float32, and the input is torch.float64'
    """
    if input.dtype not in _DTYPES:
        return f"the kernels compute in float32, and the input is {input.dtype}"
    if not _triton_is_installed():
        return "triton is not installed: pip install 'lightning-tuneloop[triton]'"
    if not input.is_cuda and not (input.device.type == "cpu" and _interpreted()):
        return f"the kernels run on a GPU, and the input is on {input.device}"
    return None


@functools.cache
def _triton_is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None


@functools.cache
def _interpreted() -> bool:
    from lightning_tune.norm.kernels.launch import interpreted

    return interpreted()
