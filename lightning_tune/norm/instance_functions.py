"""Instance norm and group norm as functions."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm import coverage, reference
from lightning_tune.norm.dispatch import Backend, as_under_autocast, chosen
from lightning_tune.norm.running import update_running_statistics


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Normalise each channel of each sample by its mean and deviation, or by running statistics.

    Args:
        input: (samples, channels, *positions).
        running_mean: (channels,), or None for none; takes in the mean over the samples.
        running_var: (channels,), likewise.
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        use_input_stats: whether by the sample's own statistics, which then go into the running ones.
        momentum: the share of the input in the running statistics, 0 to 1.
        eps: added to the variance.
        backend: who computes.

    Returns:
        In the input's shape and type.

    Raises:
        ArgumentError: a backend that can't be honoured. What torch refuses is torch's RuntimeError or
            ValueError.

    Example:
        >>> instance_norm(torch.tensor([[[1.0, 3.0], [2.0, 10.0]]]), eps=0.0).tolist()
        [[[-1.0, 1.0], [-1.0, 1.0]]]
    """
    if backend == "auto" and input.is_cuda is not True:
        return functional.instance_norm(
            input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
        )
    values = (input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    aten = partial(functional.instance_norm, *values)
    obstacle = coverage.instances(input, running_mean, running_var, weight, bias, use_input_stats)
    match chosen("instance_norm", input, backend, obstacle, aten):
        case "triton":
            return _instance_norm_by_kernels(*values)
        case "reference":
            return _instance_norm_by_reference(*values)
        case _:
            return aten()


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Normalise each group of channels of each sample by its mean and deviation.

    Args:
        input: (samples, channels, *positions).
        num_groups: a divisor of the channels.
        weight: (channels,), or None for 1.
        bias: (channels,), or None for 0.
        eps: added to the variance.
        backend: who computes.

    Returns:
        In the input's shape and type; float32 under autocast on a GPU, as torch's.

    Raises:
        ArgumentError: a backend that can't be honoured. What torch refuses is torch's RuntimeError or
            ValueError.

    Example:
        >>> group_norm(torch.tensor([[1.0, 3.0, 2.0, 10.0]]), 2, eps=0.0).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]
    """
    if backend == "auto" and input.is_cuda is not True:
        return functional.group_norm(input, num_groups, weight, bias, eps)
    aten = partial(functional.group_norm, input, num_groups, weight, bias, eps)
    obstacle = coverage.groups(input, num_groups, weight, bias)
    match chosen("group_norm", input, backend, obstacle, aten):
        case "triton":
            from lightning_tune.norm.kernels import group_operators

            return group_operators.group_norm(input, num_groups, weight, bias, eps)
        case "reference":
            return reference.group_norm(as_under_autocast(input), num_groups, weight, bias, eps)[0]
        case _:
            return aten()


def _instance_norm_by_kernels(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    from lightning_tune.norm.kernels import channel_operators, group_operators

    if not use_input_stats and running_mean is not None and running_var is not None:
        return channel_operators.batch_norm_eval(input, running_mean, running_var, weight, bias, eps, "none")
    samples, channels = input.shape[:2]
    if running_mean is None:
        with torch.autocast(input.device.type, enabled=False):  # float32 there for group norm, not for this
            return group_operators.group_norm(input, channels, weight, bias, eps)
    one_sample = input.reshape(1, samples * channels, *input.shape[2:])
    weight, bias = (None if each is None else each.repeat(samples) for each in (weight, bias))
    output, mean, var = channel_operators.batch_norm(one_sample, weight, bias, eps, "none")
    _take_in_instances(running_mean, running_var, mean, var, input, momentum)
    return output.reshape(input.shape)


def _instance_norm_by_reference(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    if not use_input_stats and running_mean is not None and running_var is not None:
        return reference.batch_norm_eval(input, running_mean, running_var, weight, bias, eps)
    output, mean, var, _ = reference.instance_norm(input, weight, bias, eps)
    _take_in_instances(running_mean, running_var, mean, var, input, momentum)
    return output


def _take_in_instances(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    var: Tensor,
    input: Tensor,
    momentum: float,
) -> None:
    """Update running statistics with the mean over the samples of their statistics."""
    samples, channels = input.shape[:2]
    if samples > 0:
        mean, var = (each.reshape(samples, channels).mean(0) for each in (mean, var))
        update_running_statistics(running_mean, running_var, mean, var, input.shape[2:].numel(), momentum)
