"""Kernels for the CPU, in C++, compiled for the machine at their first use: what torch has not fused there.

A sum with a residual and its norm, a batch norm and the activation after it, and RMS norm are one pass over
memory each, as on a GPU; their backward passes keep one tensor. `build.py` compiles, `calls.py` calls,
`rows.py` and `channels.py` make differentiable functions of it. Where they can't be used, torch's operators
are composed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from lightning_tune.norm.cpp import build

_TYPES = (torch.float32, torch.bfloat16, torch.float64)
_PLAIN = (Tensor, nn.Parameter)
_NEVER = 1 << 62

KIB = 1 << 10
LEAST_BYTES = {
    "layer_norm": {torch.bfloat16: 128 * KIB},
    "rms_norm": dict.fromkeys(_TYPES, 16 * KIB),
    "add_layer_norm": {torch.float32: 384 * KIB, torch.bfloat16: 128 * KIB, torch.float64: 384 * KIB},
    "add_rms_norm": dict.fromkeys(_TYPES, 16 * KIB),
    "batch_norm": {torch.float32: 1024 * KIB, torch.bfloat16: 1024 * KIB},
    "batch_norm_act": {torch.float32: 512 * KIB, torch.bfloat16: 512 * KIB},
}
"""From how large an input on they are faster than torch's operators, measured by `benchmarks/norm_speed.py`.

Of smaller ones the Python around the kernels takes longer than torch does. Layer norm of float32 is no faster
at any size, nor are activations of float64.
"""


def pays(operation: str, input: Tensor) -> bool:
    """Whether an input is large enough for the kernels to be faster than torch's operators.

    Example:
        >>> pays("rms_norm", torch.empty(4, 4)), pays("rms_norm", torch.empty(64, 64))
        (False, True)
    """
    large = input.numel() * input.itemsize >= LEAST_BYTES[operation].get(input.dtype, _NEVER)
    return large is True  # torch.fx traces with a stand-in that is neither true nor false


def considered(operation: str, input: Tensor, *, always: bool = False) -> bool:
    """Whether an input on a CPU may be for the kernels: it is large enough, and torch is not compiling.

    Args:
        operation: the functional's name.
        input: what is normalised.
        always: of whatever size, where they are asked for more than speed.
    """
    return not torch.compiler.is_compiling() and (always or pays(operation, input))


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
        if tensor.dtype not in _TYPES:
            return f"the kernels in C++ take no {tensor.dtype}"
        if type(tensor) not in _PLAIN or tensor.is_neg():
            return f"a {type(tensor).__name__} may lie in memory in its own way"
    first = None
    for parameter in parameters:
        if parameter is None:
            continue
        first = parameter if first is None else first
        if parameter.dtype != first.dtype or not parameter.is_contiguous():
            return "the parameters are of several types, or not each in one piece of memory"
    return build.trouble()
