"""What the kernels and the reference take: the sound cases, those that torch's documentation describes.

Each function returns why a case is none of these, or None. Such a case is handed to torch's operator, which
refuses it in its own words, or, where torch takes more than it documents, computes it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

_HALF = (torch.bfloat16, torch.float16)


def rows(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None = None
) -> str | None:
    """Return what is in the way of a layer or RMS norm.

    Example:
        >>> rows(torch.ones(2, 4), [4], torch.ones(4)) is None
        True
        >>> rows(torch.ones(2, 4), [3], None)
        'the input of shape (2, 4) does not end in (3,)'
    """
    return (
        _unusual(input)
        or _row(input.shape, normalized_shape)
        or _unfit(input, tuple(normalized_shape), weight=weight, bias=bias)
    )


def groups(input: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None) -> str | None:
    """Return what is in the way of a group norm.

    Example:
        >>> groups(torch.ones(2, 4), 3, None, None)
        '4 channels cannot be split into 3 groups'
    """
    if input.dim() < 2:
        return f"the input of shape {tuple(input.shape)} has no channels"
    channels = input.shape[1]
    if num_groups < 1 or channels % num_groups:
        return f"{channels} channels cannot be split into {num_groups} groups"
    if (input.shape[0] * channels // num_groups) * math.prod(input.shape[2:]) == 1:
        return "a group of a single value has no deviation"
    return _unusual(input) or _unfit(input, (channels,), weight=weight, bias=bias)


def channels(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    eps: float,
) -> str | None:
    """Return what is in the way of a batch norm.

    Example:
        >>> channels(torch.ones(1, 4), None, None, None, None, True, 1e-5)
        'one value a channel has no deviation'
        >>> channels(torch.ones(2, 4), None, None, None, None, False, 1e-5)
        'running statistics are missing'
    """
    if input.dim() < 2:
        return f"the input of shape {tuple(input.shape)} has no channels"
    if training and input.shape[0] * math.prod(input.shape[2:]) == 1:
        return "one value a channel has no deviation"
    if eps < 0 or (training and eps == 0):
        return f"eps is {eps}"
    return _by_channel(input, running_mean, running_var, weight, bias, training)


def instances(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    use_input_stats: bool,
) -> str | None:
    """Return what is in the way of an instance norm.

    Example:
        >>> instances(torch.ones(2, 4, 1), None, None, None, None, True)
        'one position a channel has no deviation'
    """
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        return "one position a channel has no deviation"
    if input.dim() < 3:
        return f"the input of shape {tuple(input.shape)} has no positions"
    return _by_channel(input, running_mean, running_var, weight, bias, use_input_stats)


def sums(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None = None,
) -> str | None:
    """Return what is in the way of a layer or RMS norm of a sum.

    Example:
        >>> sums(torch.ones(2, 4), torch.ones(3), [4], None)
        'the residual of shape (3,) cannot be added to the input of shape (2, 4)'
        >>> sums(torch.ones(2, 4), torch.ones(4, dtype=torch.float16), [4], None) is None
        True
    """
    if not isinstance(residual, Tensor):
        return f"the residual is a {type(residual).__name__}"
    if residual.shape == input.shape and residual.dtype == input.dtype and residual.device == input.device:
        return rows(input, normalized_shape, weight, bias) or _unusual(residual)
    pairs = zip(input.shape[::-1], residual.shape[::-1], strict=False)
    if any(one != other and 1 not in (one, other) for one, other in pairs):
        return (
            f"the residual of shape {tuple(residual.shape)} cannot be added to the input of shape "
            f"{tuple(input.shape)}"
        )
    if residual.device != input.device:
        return f"the residual is on {residual.device}, the input on {input.device}"
    if (residual.dtype == torch.float64) != (input.dtype == torch.float64):
        return f"the residual is {residual.dtype}, the input {input.dtype}"
    total = torch.broadcast_shapes(input.shape, residual.shape)  # type: ignore[no-untyped-call]
    wider = input if torch.promote_types(input.dtype, residual.dtype) == input.dtype else residual
    return (
        _unusual(input)
        or _unusual(residual)
        or _row(total, normalized_shape)
        or _unfit(wider, tuple(normalized_shape), weight=weight, bias=bias)
    )


def _row(given: Sequence[int], normalized_shape: Sequence[int]) -> str | None:
    shape = tuple(normalized_shape)
    if not shape or tuple(given[-len(shape) :]) != shape:
        return f"the input of shape {tuple(given)} does not end in {shape}"
    return None


def _by_channel(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    own_statistics: bool,
) -> str | None:
    if (running_mean is None) != (running_var is None) or (running_mean is None and not own_statistics):
        return "running statistics are missing"
    if any(running is not None and running.requires_grad for running in (running_mean, running_var)):
        return "running statistics have no gradient"
    return _unusual(input) or _unfit(
        input,
        (input.shape[1],),
        weight=weight,
        bias=bias,
        running_mean=running_mean,
        running_var=running_var,
    )


def _unusual(input: Tensor) -> str | None:
    """Return what a tensor is if it is no array of floating numbers in strides."""
    if not input.is_floating_point():
        return f"the tensor is {input.dtype}"
    if input.layout is not torch.strided:
        return f"the tensor's layout is {input.layout}"
    if type(input) is not Tensor and is_traceable_wrapper_subclass(input):
        return f"the tensor is a {type(input).__name__}"
    return None


def _unfit(input: Tensor, shape: tuple[int, ...], **parameters: Tensor | None) -> str | None:
    """Return which parameter does not fit an input: in shape, device, or type (float32 goes with half)."""
    for name, parameter in parameters.items():
        if parameter is None:
            continue
        if tuple(parameter.shape) != shape:
            return f"{name} has shape {tuple(parameter.shape)}, not {shape}"
        if parameter.device != input.device:
            return f"{name} is on {parameter.device}, the input on {input.device}"
        if parameter.dtype != input.dtype and not (parameter.dtype == torch.float32 and input.dtype in _HALF):
            return f"{name} is {parameter.dtype}, the input {input.dtype}"
    return None
