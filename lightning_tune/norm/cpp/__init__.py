"""Kernels for the CPU, in C++, compiled for the machine at their first use: what torch has not fused there.

A sum with a residual and its norm, a batch norm and the activation after it, and RMS norm are one pass over
memory each, as on a GPU; their backward passes keep one tensor. `build.py` compiles, `calls.py` calls,
`rows.py` and `channels.py` make differentiable functions of it. Where they can't be used, torch's operators
are composed.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lightning_tune.norm.cpp import build, calls

_NARROW, _WIDE = (torch.float32, torch.bfloat16), (torch.float32, torch.float64)
KIB, MIB = 1 << 10, 1 << 20
LEAST_BYTES = {
    "layer_norm": {torch.bfloat16: (128 * KIB, MIB)},
    "rms_norm": dict.fromkeys(calls.TYPES, (16 * KIB, 256 * KIB)),
    "add_layer_norm": {torch.bfloat16: (128 * KIB, MIB), **dict.fromkeys(_WIDE, (384 * KIB, 2 * MIB))},
    "add_rms_norm": dict.fromkeys(calls.TYPES, (16 * KIB, 256 * KIB)),
    "batch_norm": dict.fromkeys(_NARROW, (MIB, 16 * MIB)),
    "batch_norm_act": dict.fromkeys(_NARROW, (512 * KIB, 8 * MIB)),
}
"""From how large an input on they are faster than torch's operators: while gradients are on, and without.

By operation and type, on one thread; what is not here they never are. Of smaller inputs the Python around the
kernels takes longer than torch does.
"""
LEAST_COLUMNS = {"layer_norm": 128, "rms_norm": 32, "add_layer_norm": 128, "add_rms_norm": 32}
"""How many values a row must have for that."""
LEAST_COUNT, LEAST_PLANE = 256, 256
"""How many values a channel must have, and a plane of bfloat16."""


def rows_pay(operation: str, input: Tensor, normalized_shape: Sequence[int], *, always: bool = False) -> bool:
    """Whether rows of an input are so many and so wide that the kernels are faster than torch's operators.

    Args:
        operation: the functional's name.
        input: what is normalised, on a CPU.
        normalized_shape: of a row.
        always: of whatever size, where they are asked for more than speed.

    Returns:
        False also while torch compiles or traces: it must see its own operators.

    Example:
        >>> rows_pay("rms_norm", torch.empty(4, 64), [64]), rows_pay("rms_norm", torch.empty(64, 64), [64])
        (False, True)
    """
    if not isinstance(input, Tensor) or torch.compiler.is_compiling():
        return False
    if always or not _is_large(operation, input):
        return always
    return math.prod(normalized_shape) >= LEAST_COLUMNS[operation]


def channels_pay(operation: str, input: Tensor, activation: str = "none", *, always: bool = False) -> bool:
    """Whether the channels of an input are so large that the kernels are faster than torch's operators.

    Args:
        operation: the functional's name.
        input: what is normalised, on a CPU.
        activation: what follows.
        always: as of `rows_pay`.

    Example:
        >>> images = torch.empty(16, 32, 32, 32)
        >>> channels_pay("batch_norm", images), channels_pay("batch_norm", images[:1])
        (True, False)
    """
    if not isinstance(input, Tensor) or torch.compiler.is_compiling():
        return False
    if always or not _is_large(operation, input) or input.dim() < 2:
        return always
    if input.numel() < LEAST_COUNT * input.shape[1]:
        return False
    if input.dtype != torch.bfloat16 or not input.is_contiguous():
        return True
    swift = activation != "gelu" or torch.is_grad_enabled()  # torch's own is there, of planes in bfloat16
    return swift and input.shape[2:].numel() >= LEAST_PLANE


def _is_large(operation: str, input: Tensor) -> bool:
    least = LEAST_BYTES[operation].get(input.dtype)
    return least is not None and input.numel() * input.itemsize >= least[not torch.is_grad_enabled()]


def rows_obstacle(input: Tensor, residual: Tensor | None, *parameters: Tensor | None) -> str | None:
    """Return why the kernels can't take rows of an input, beyond what `coverage.py` asks; None if they can.

    Example:
        >>> rows_obstacle(torch.ones(2, 3, dtype=torch.float16), None)
        'the kernels in C++ take no torch.float16'
    """
    if residual is not None and (residual.shape != input.shape or residual.dtype != input.dtype):
        return "input and residual differ in shape or type"
    return _obstacle((input, residual), parameters)


def channels_obstacle(input: Tensor, *parameters: Tensor | None) -> str | None:
    """Return why the kernels can't take an input of batch norm, beyond what `coverage.py` asks; or None.

    Example:
        >>> channels_obstacle(torch.ones(2, 3), torch.ones(3), torch.ones(6)[::2])
        'the parameters are of several types, or not each in one piece of memory'
    """
    return _obstacle((input,), parameters)


def transforms_obstacle() -> str | None:
    """Return why functions of our own can't be used now: torch must see its own operators. Else None."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return "torch is compiling or tracing, and can't see into kernels in C++"
    if forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active():
        return "a function transform or forward-mode differentiation is active"
    if torch._C._len_torch_dispatch_stack() > 0:
        return "a mode of torch's looks at every operator"
    return None


def _obstacle(inputs: Sequence[Tensor | None], parameters: Sequence[Tensor | None]) -> str | None:
    """Return what is in the way: of torch's state, the tensors, or the machine."""
    if (obstacle := transforms_obstacle()) is not None:
        return obstacle
    for tensor in (*inputs, *parameters):
        if tensor is None:
            continue
        if not tensor.is_cpu:
            return f"the kernels in C++ run on a CPU, and a tensor is on {tensor.device}"
        if tensor.dtype not in calls.TYPES:
            return f"the kernels in C++ take no {tensor.dtype}"
        if not calls.readable(tensor.dtype, tensor):
            return f"a {type(tensor).__name__} may lie in memory in its own way"
    first = None
    for parameter in parameters:
        if parameter is None:
            continue
        first = parameter if first is None else first
        if parameter.dtype != first.dtype or not parameter.is_contiguous():
            return "the parameters are of several types, or not each in one piece of memory"
    return build.trouble()
