"""`BatchNorm1d`, `BatchNorm2d` and `BatchNorm3d`: torch.nn's, computed by a backend of choice."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_tune.norm.channel_functions import batch_norm, channel_path
from lightning_tune.norm.dispatch import Backend, Path, checked, shown
from lightning_tune.norm.running import RunningStatistics


class BatchNorm(RunningStatistics, _BatchNorm):
    """What the three have in common; which dimensions an input may have comes from torch.nn's namesakes."""

    backend: Backend = "auto"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        backend: Backend = "auto",
    ) -> None:
        options = {} if bias else {"bias": False}  # older versions of torch know none
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, **options)
        self.backend = checked(backend)

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape; update the running statistics in training."""
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        share = self._count()
        running_mean, running_var = self._statistics()
        weight, bias, training = self.weight, self.bias, self._uses_batch()
        return batch_norm(
            input, running_mean, running_var, weight, bias, training, share, self.eps, backend=self.backend
        )

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        return channel_path(
            "batch_norm",
            input,
            *self._statistics(),
            self.weight,
            self.bias,
            self._uses_batch(),
            self.eps,
            self.backend,
        )

    def extra_repr(self) -> str:
        """Return torch's, and the backend if it is not the usual one."""
        return shown(super().extra_repr(), self.backend)  # type: ignore[no-untyped-call]


class BatchNorm1d(BatchNorm, nn.BatchNorm1d):
    """Normalise each channel over the batch (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167).

    Differs from `torch.nn.BatchNorm1d` in one thing: `backend`, who computes it. Arguments, attributes, state
    dict, running statistics, output types and errors are torch's, and it is a subclass.

    Args:
        num_features: the channels of the input, (samples, channels) or (samples, channels, length).
        eps: added to the variance.
        momentum: the share of a batch in the running statistics; None is the mean of all batches.
        affine: whether there is a weight for each channel, at first 1.
        track_running_stats: whether there are running statistics, which evaluation then normalises by.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight, at first 0.
        backend: "auto", "triton", "cpp", "aten" or "reference"; `explain` tells what "auto" takes.

    Raises:
        ArgumentError: another backend; in a forward pass, one that can't be honoured.

    Example:
        >>> layer = BatchNorm1d(1, momentum=0.5)
        >>> [round(value, 3) for value in layer(torch.tensor([[1.0], [5.0]])).flatten().tolist()]
        [-1.0, 1.0]
        >>> layer.running_mean.item(), layer.running_var.item()
        (1.5, 4.5)
    """


class BatchNorm2d(BatchNorm, nn.BatchNorm2d):
    """Normalise each channel over the batch (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167).

    Differs from `torch.nn.BatchNorm2d` in one thing: `backend`, who computes it. Arguments, attributes, state
    dict, running statistics, output types and errors are torch's, and it is a subclass.

    Args:
        num_features: the channels of the input, (samples, channels, height, width).
        eps: as of `BatchNorm1d`, as are all others.
        momentum: the share of a batch in the running statistics.
        affine: whether there is a weight for each channel.
        track_running_stats: whether there are running statistics.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight.
        backend: who computes it.

    Example:
        >>> BatchNorm2d(3, backend="aten")(torch.randn(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """


class BatchNorm3d(BatchNorm, nn.BatchNorm3d):
    """Normalise each channel over the batch (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167).

    Differs from `torch.nn.BatchNorm3d` in one thing: `backend`, who computes it. Arguments, attributes, state
    dict, running statistics, output types and errors are torch's, and it is a subclass.

    Args:
        num_features: the channels of the input, (samples, channels, depth, height, width).
        eps: as of `BatchNorm1d`, as are all others.
        momentum: the share of a batch in the running statistics.
        affine: whether there is a weight for each channel.
        track_running_stats: whether there are running statistics.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight.
        backend: who computes it.

    Example:
        >>> BatchNorm3d(3)(torch.randn(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """
