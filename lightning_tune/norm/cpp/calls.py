"""Call the kernels in C++ with tensors: make room for outputs, hand over addresses.

Nothing is checked here (`__init__.py` does): the tensors lie on the CPU, in one piece, are of fitting types
and shapes.
"""

import ctypes
import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_tune.norm.cpp.build import library

TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float64: 2}
ACTIVATIONS = {"none": 0, "relu": 1, "silu": 2, "gelu": 3}
VALUES_A_THREAD = 1 << 15
_PLAIN = (Tensor, nn.Parameter)

_INT, _LONG, _DOUBLE, _POINTER = ctypes.c_int, ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


def wide_type(dtype: torch.dtype) -> torch.dtype:
    """Return the type that is computed in: float32 for float32 and bfloat16, float64 for float64.

    Example:
        >>> wide_type(torch.bfloat16)
        torch.float32
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def readable(dtype: torch.dtype, *tensors: Tensor | None) -> bool:
    """Whether the memory of tensors of a type can be handed to the kernels; a missing one can.

    A backward pass gets whatever a caller, a transform or a hook makes of gradients and of what was kept.
    """
    for tensor in tensors:
        if tensor is None:
            continue
        if tensor.dtype != dtype or type(tensor) not in _PLAIN or not tensor.is_cpu or tensor.is_neg():
            return False
        try:
            if tensor.data_ptr() == 0 and tensor.numel() > 0:
                return False
        except RuntimeError:  # one of several that a transform takes at once
            return False
    return True


def parameter_type(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> torch.dtype:
    """Return the type of the parameters, the input's if there are none."""
    given = bias if weight is None else weight
    return input.dtype if given is None else given.dtype


def row_norm(
    input: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    rows: int,
    columns: int,
    eps: float,
    *,
    centred: bool,
    with_mean: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise rows of an input, or of its sum with a residual.

    Args:
        input: (rows, columns), in any shape.
        residual: the same, or None.
        weight: (columns,), or None for 1.
        bias: (columns,), or None for 0.
        rows: how many there are.
        columns: values of a row.
        eps: added to the variance or mean square.
        centred: layer norm, else RMS norm.
        with_mean: whether the mean of each row is wanted.

    Returns:
        (output, sum, statistics). The sum is the input if there is no residual. Statistics are rstd of each
        row, (1, rows), or mean and rstd, (2, rows), in the type that is computed in.
    """
    output = torch.empty_like(input)
    total = input if residual is None else torch.empty_like(input)
    statistics = torch.empty((1 + with_mean, rows), dtype=wide_type(input.dtype), device=input.device)
    failed = _kernels().row_norm_forward(
        TYPES[input.dtype],
        TYPES[parameter_type(input, weight, bias)],
        centred,
        *_addresses(input, residual, weight, bias, total, output),
        *_mean_and_rstd(statistics),
        rows,
        columns,
        eps,
        _threads(input),
    )
    if failed:
        raise _no_memory()
    return output, total, statistics


def row_norm_backward(
    grad_output: Tensor,
    grad_total: Tensor | None,
    kept: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    statistics: Tensor,
    columns: int,
    *,
    centred: bool,
    recovers: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of what was normalised, weight and bias.

    Args:
        grad_output: of the output's shape.
        grad_total: the sum's own gradient, or None.
        kept: what was normalised, or the output.
        weight: (columns,), or None.
        bias: (columns,), or None.
        statistics: of each row: mean and rstd, (2, rows); rstd, (1, rows), for RMS norm or if `kept` is the
            output.
        columns: values of a row.
        centred: layer norm, else RMS norm.
        recovers: whether `kept` is the output.
    """
    grad = torch.empty_like(kept)
    grad_weight = None if weight is None else torch.empty_like(weight)
    grad_bias = None if bias is None else torch.empty_like(bias)
    failed = _kernels().row_norm_backward(
        TYPES[kept.dtype],
        TYPES[parameter_type(kept, weight, bias)],
        centred,
        recovers,
        *_addresses(grad_output, grad_total, kept, weight, bias),
        *_mean_and_rstd(statistics),
        *_addresses(grad, grad_weight, grad_bias),
        statistics.shape[1],
        columns,
        _threads(kept),
    )
    if failed:
        raise _no_memory()
    return grad, grad_weight, grad_bias


@dataclass(frozen=True, slots=True)
class ChannelNorm:
    """A batch norm with an activation after it.

    Attributes:
        activation: "none", "relu", "silu" or "gelu".
        training: by the batch's own statistics, else the running ones.
        momentum: the share of the batch in the running statistics.
        eps: added to the variance.
    """

    activation: str
    training: bool
    momentum: float
    eps: float

    def forward(
        self,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output, and mean and rstd of each channel; update the running statistics in training."""
        output = torch.empty_like(input)
        mean = torch.empty(input.shape[1], dtype=wide_type(input.dtype), device=input.device)
        rstd = torch.empty_like(mean)
        failed = _kernels().batch_norm_act_forward(
            *self._how(input, weight, running_mean if bias is None else bias),
            *_addresses(input, weight, bias, running_mean, running_var, output, mean, rstd),
            *_sizes(input),
            self.momentum,
            self.eps,
            _threads(input),
        )
        if failed:
            raise _no_memory()
        if self.training:
            for running in (running_mean, running_var):
                if running is not None:
                    torch.autograd.graph.increment_version(running)
        return output, mean, rstd

    def backward(
        self,
        grad_output: Tensor,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        rstd: Tensor,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the gradients of input, weight and bias; `grad_output` lies in memory as the input does."""
        grad = torch.empty_like(input)
        grad_weight = None if weight is None else torch.empty_like(weight)
        grad_bias = None if bias is None else torch.empty_like(bias)
        failed = _kernels().batch_norm_act_backward(
            *self._how(input, weight, bias),
            *_addresses(grad_output, input, weight, bias, mean, rstd, grad, grad_weight, grad_bias),
            *_sizes(input),
            _threads(input),
        )
        if failed:
            raise _no_memory()
        return grad, grad_weight, grad_bias

    def _how(
        self, input: Tensor, weight: Tensor | None, other: Tensor | None
    ) -> tuple[int, int, int, int, int]:
        return (
            TYPES[input.dtype],
            TYPES[parameter_type(input, weight, other)],
            ACTIVATIONS[self.activation],
            self.training,
            not input.is_contiguous(),
        )


def _sizes(input: Tensor) -> tuple[int, int, int]:
    """Return samples, channels and positions."""
    samples, channels = input.shape[:2]
    return samples, channels, input.shape[2:].numel()


def _mean_and_rstd(statistics: Tensor) -> tuple[int | None, int]:
    """Return the addresses of the two, the first of them None if it is not there."""
    kinds, rows = statistics.shape
    first = statistics.data_ptr()
    return (None, first) if kinds == 1 else (first, first + rows * statistics.itemsize)


def _addresses(*tensors: Tensor | None) -> list[int | None]:
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]


def _threads(input: Tensor) -> int:
    return max(1, min(torch.get_num_threads(), input.numel() // VALUES_A_THREAD))


def _no_memory() -> MemoryError:
    return MemoryError("the kernels in C++ found no memory for their sums")


@functools.cache
def _kernels() -> ctypes.CDLL:
    """Return the library with the types of its functions."""
    kernels = library()
    signatures = {
        "row_norm_forward": [*[_INT] * 3, *[_POINTER] * 8, _LONG, _LONG, _DOUBLE, _INT],
        "row_norm_backward": [*[_INT] * 4, *[_POINTER] * 10, _LONG, _LONG, _INT],
        "batch_norm_act_forward": [*[_INT] * 5, *[_POINTER] * 8, *[_LONG] * 3, _DOUBLE, _DOUBLE, _INT],
        "batch_norm_act_backward": [*[_INT] * 5, *[_POINTER] * 9, *[_LONG] * 3, _INT],
    }
    for name, types in signatures.items():
        function = getattr(kernels, name)
        function.argtypes, function.restype = types, _INT
    return kernels
