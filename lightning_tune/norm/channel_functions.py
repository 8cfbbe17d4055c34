"""Batch norm as a function, alone and with the activation after it."""

from functools import partial
from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from lightning_tune.errors import ArgumentError
from lightning_tune.norm import composed, coverage, cpp, reference
from lightning_tune.norm.cpp import channels
from lightning_tune.norm.dispatch import Backend, Path, choose, chosen
from lightning_tune.norm.reference.statistics import widened
from lightning_tune.norm.running import update_running_statistics, values_per_channel

Activation = Literal["none", "relu", "silu", "gelu"]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Normalise each channel by its mean and deviation over the batch, or by running statistics.

    Args:
        input: (samples, channels, *positions).
        running_mean: (channels,); None, in training only, for none.
        running_var: (channels,), likewise.
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        training: whether by the batch's own statistics, which then go into the running ones.
        momentum: the share of the batch in the running statistics, 0 to 1.
        eps: added to the variance.
        backend: who computes.

    Returns:
        In the input's shape and type.

    Raises:
        ArgumentError: a backend that can't be honoured. What torch refuses is torch's RuntimeError or
            ValueError.

    Example:
        >>> import torch
        >>> mean, var = torch.zeros(1), torch.ones(1)
        >>> batch = torch.tensor([[1.0], [5.0]])
        >>> output = batch_norm(batch, mean, var, training=True, momentum=0.5)
        >>> [round(value, 3) for value in output.flatten().tolist()]
        [-1.0, 1.0]
        >>> mean.item(), var.item()     # half of (0, 1), half of mean 3 and unbiased variance 8
        (1.5, 4.5)
    """
    if backend == "auto" and input.is_cuda is not True and not cpp.channels_pay("batch_norm", input):
        return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    values = (input, running_mean, running_var, weight, bias, training, momentum, eps)
    aten = partial(functional.batch_norm, *values)
    obstacle = coverage.channels(input, running_mean, running_var, weight, bias, training, eps)
    in_cpp = partial(cpp.channels_obstacle, input, running_mean, running_var, weight, bias)
    match chosen("batch_norm", input, backend, obstacle, aten, in_cpp):
        case "cpp":
            return channels.batch_norm_act(*values, "none")
        case "triton":
            return _batch_norm_by_kernels(*values, "none")
        case "reference":
            return _batch_norm_by_reference(*values, "none")
        case _:
            return aten()


def batch_norm_act(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: Activation = "relu",
    memory_efficient: bool = False,
    backend: Backend = "auto",
) -> Tensor:
    """Return an activation of the batch norm of the input.

    Args:
        input: as of `batch_norm`, as are the next seven.
        running_mean: (channels,) or None.
        running_var: (channels,) or None.
        weight: (channels,) or None.
        bias: (channels,) or None.
        training: whether by the batch's own statistics.
        momentum: the share of the batch in the running statistics.
        eps: added to the variance.
        activation: "none", "relu", "silu" or "gelu" (with the error function, torch's default).
        memory_efficient: the backward pass keeps the input alone and computes again what is between. The
            kernels, of either kind, do so anyway; the reference never.
        backend: who computes.

    Returns:
        In the input's shape and type.

    Raises:
        ArgumentError: another activation, a backend that can't be honoured. What torch refuses is torch's
            RuntimeError or ValueError.

    Example:
        >>> import torch
        >>> pixels = torch.tensor([[[[1.0, 3.0]]]])
        >>> batch_norm_act(pixels, torch.tensor([2.0]), torch.tensor([1.0]), eps=0.0).tolist()
        [[[[0.0, 1.0]]]]
    """
    checked_activation(activation)
    values = (input, running_mean, running_var, weight, bias, training, momentum, eps)
    on_cpu = backend == "auto" and input.is_cuda is not True
    if on_cpu and not cpp.channels_pay("batch_norm_act", input, activation, always=memory_efficient):
        return composed.batch_norm_act(*values, activation)
    obstacle = coverage.channels(input, running_mean, running_var, weight, bias, training, eps)
    aten = partial(composed.batch_norm_act, *values, activation)
    saves = memory_efficient and input.numel() > 0
    if saves and obstacle is None and cpp.transforms_obstacle() is None:
        aten = partial(channels.batch_norm_act, *values, activation, compiled=False)
    in_cpp = partial(cpp.channels_obstacle, input, running_mean, running_var, weight, bias)
    match chosen("batch_norm_act", input, backend, obstacle, aten, in_cpp):
        case "cpp":
            return channels.batch_norm_act(*values, activation)
        case "triton":
            return _batch_norm_by_kernels(*values, activation)
        case "reference":
            return _batch_norm_by_reference(*values, activation)
        case _:
            return aten()


def channel_path(
    operation: str,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    eps: float,
    backend: Backend,
    activation: Activation = "none",
    memory_efficient: bool = False,
) -> Path:
    """Return who computes one of these functions, `operation`, and why; the other arguments are its own."""
    obstacle = coverage.channels(input, running_mean, running_var, weight, bias, training, eps)
    in_cpp = partial(cpp.channels_obstacle, input, running_mean, running_var, weight, bias)
    worth = cpp.channels_pay(operation, input, activation, always=memory_efficient)
    return choose(operation, input, backend, obstacle, in_cpp, worth)


def checked_activation(activation: Activation) -> Activation:
    """Return an activation that exists.

    Example:
        >>> checked_activation("tanh")
        Traceback (most recent call last):
          ...
        lightning_tune.errors.ArgumentError: `activation` must be one of "none", "relu", "silu", "gelu", got \
'tanh'.
    """
    if activation not in get_args(Activation):
        names = ", ".join(f'"{name}"' for name in get_args(Activation))
        raise ArgumentError(f"`activation` must be one of {names}, got {activation!r}.")
    return activation


def _batch_norm_by_kernels(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    activation: Activation,
) -> Tensor:
    from lightning_tune.norm.kernels import channel_operators

    if not training and running_mean is not None and running_var is not None:
        return channel_operators.batch_norm_eval(
            input, running_mean, running_var, weight, bias, eps, activation
        )
    output, mean, var = channel_operators.batch_norm(input, weight, bias, eps, activation)
    update_running_statistics(running_mean, running_var, mean, var, values_per_channel(input), momentum)
    return output


def _batch_norm_by_reference(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    activation: Activation,
) -> Tensor:
    """Normalise and activate in the type that is computed in; round once."""
    wide = widened(input)
    if not training and running_mean is not None and running_var is not None:
        output = reference.batch_norm_eval(wide, running_mean, running_var, weight, bias, eps)
    else:
        output, mean, var, _ = reference.batch_norm(wide, weight, bias, eps)
        update_running_statistics(running_mean, running_var, mean, var, values_per_channel(input), momentum)
    return composed.ACTIVATIONS[activation](output).to(input.dtype)
