"""`InstanceNorm1d`, `InstanceNorm2d` and `InstanceNorm3d`: torch.nn's, computed by a backend of choice."""

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from lightning_tune.norm import coverage
from lightning_tune.norm.dispatch import Backend, Path, checked, choose, shown
from lightning_tune.norm.instance_functions import instance_norm


class InstanceNorm(_InstanceNorm):
    """What the three have in common; dimensions of an input and their errors are torch.nn's own code."""

    backend: Backend = "auto"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        backend: Backend = "auto",
    ) -> None:
        options = {} if bias else {"bias": False}  # older versions of torch know none
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, **options)
        self.backend = checked(backend)

    def _apply_instance_norm(self, input: Tensor) -> Tensor:
        """Normalise an input with a batch dimension: `forward`, which torch wrote, calls this."""
        return instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self._uses_input(),
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
            backend=self.backend,
        )

    def _uses_input(self) -> bool:
        """Whether the input's own statistics normalise it."""
        return self.training or not self.track_running_stats

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        if input.dim() == self._get_no_batch_dim():  # type: ignore[no-untyped-call]
            input = input.unsqueeze(0)
        statistics = (self.running_mean, self.running_var)
        obstacle = coverage.instances(input, *statistics, self.weight, self.bias, self._uses_input())
        return choose("instance_norm", input, self.backend, obstacle)

    def extra_repr(self) -> str:
        """Return torch's, and the backend if it is not the usual one."""
        return shown(super().extra_repr(), self.backend)  # type: ignore[no-untyped-call]


class InstanceNorm1d(InstanceNorm, nn.InstanceNorm1d):
    """Normalise each channel of a sample (Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022).

    Differs from `torch.nn.InstanceNorm1d` in one thing: `backend`, who computes it. Arguments, attributes,
    state dict, running statistics, output types and errors are torch's, and it is a subclass.

    Args:
        num_features: the channels of the input, (samples, channels, length) or (channels, length).
        eps: added to the variance.
        momentum: the share of an input in the running statistics.
        affine: whether there is a weight for each channel, at first 1.
        track_running_stats: whether there are running statistics, which evaluation then normalises by.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight, at first 0.
        backend: "auto", "triton", "aten" or "reference"; `explain` tells what "auto" takes.

    Raises:
        ArgumentError: another backend; in a forward pass, one that can't be honoured.

    Example:
        >>> InstanceNorm1d(2, eps=0.0, backend="reference")(torch.tensor([[1.0, 3.0], [2.0, 10.0]])).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]
    """


class InstanceNorm2d(InstanceNorm, nn.InstanceNorm2d):
    """Normalise each channel of a sample (Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022).

    Differs from `torch.nn.InstanceNorm2d` in one thing: `backend`, who computes it. Arguments, attributes,
    state dict, running statistics, output types and errors are torch's, and it is a subclass.

    Args:
        num_features: the channels of the input, (samples, channels, height, width) or without samples.
        eps: as of `InstanceNorm1d`, as are all others.
        momentum: the share of an input in the running statistics.
        affine: whether there is a weight for each channel.
        track_running_stats: whether there are running statistics.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight.
        backend: who computes it.

    Example:
        >>> InstanceNorm2d(3)(torch.randn(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """


class InstanceNorm3d(InstanceNorm, nn.InstanceNorm3d):
    """Normalise each channel of a sample (Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022).

    Differs from `torch.nn.InstanceNorm3d` in one thing: `backend`, who computes it. Arguments, attributes,
    state dict, running statistics, output types and errors are torch's, and it is a subclass.

    Args:
        num_features: the channels of the input, (samples, channels, depth, height, width) or without samples.
        eps: as of `InstanceNorm1d`, as are all others.
        momentum: the share of an input in the running statistics.
        affine: whether there is a weight for each channel.
        track_running_stats: whether there are running statistics.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight.
        backend: who computes it.

    Example:
        >>> InstanceNorm3d(3)(torch.randn(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """
