"""Two layers in one: residual add + norm, and batch norm + activation, with less memory moved.

Their state dicts are those of the norm inside, so that a checkpoint of the two layers loads if the norm's
name stays.
"""

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from lightning_tune.norm.channel_functions import (
    Activation,
    batch_norm_act,
    channel_path,
    checked_activation,
)
from lightning_tune.norm.dispatch import Backend, Path, checked, shown
from lightning_tune.norm.layer import LayerNorm
from lightning_tune.norm.rms import RMSNorm
from lightning_tune.norm.row_functions import add_layer_norm, add_rms_norm, row_path
from lightning_tune.norm.running import RunningStatistics


class AddLayerNorm(LayerNorm):
    """Layer norm of the sum of two inputs; returns both, as a transformer's residual stream needs them.

    The parameters and arguments are `LayerNorm`'s, torch.nn's with `backend`; two more things differ:
    `forward(input, residual)` returns (output, sum), and `memory_efficient`.

    Args:
        normalized_shape: the last dimensions of the inputs, which are one row.
        eps: as of `LayerNorm`, as are the next four.
        elementwise_affine: whether there is a weight.
        bias: whether there is a bias.
        device: of the parameters.
        dtype: of the parameters.
        memory_efficient: the backward pass works from the output, which the next layer keeps anyway, and does
            not keep the sum. Columns whose weight is 0 then count as at the mean of their row.
        backend: who computes it.

    Example:
        >>> output, total = AddLayerNorm(2, eps=0.0)(torch.ones(1, 2), torch.tensor([[1.0, 3.0]]))
        >>> output.tolist(), total.tolist()
        ([[-1.0, 1.0]], [[2.0, 4.0]])
    """

    memory_efficient: bool = False

    def __init__(
        self,
        normalized_shape: int | list[int] | torch.Size,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        memory_efficient: bool = False,
        backend: Backend = "auto",
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, bias, device, dtype, backend=backend)
        self.memory_efficient = memory_efficient

    def forward(self, input: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return the normalised sum, and the sum."""
        return add_layer_norm(
            input,
            residual,
            self.normalized_shape,
            self.weight,
            self.bias,
            self.eps,
            memory_efficient=self.memory_efficient,
            backend=self.backend,
        )

    def path_of(self, input: Tensor, residual: Tensor | None = None) -> Path:
        """Return who computes an input, with a residual like it or a given one, and why."""
        residual = input if residual is None else residual
        return row_path(
            "add_layer_norm",
            input,
            residual,
            self.normalized_shape,
            self.weight,
            self.bias,
            self.backend,
            self.memory_efficient,
        )

    def extra_repr(self) -> str:
        """Return `LayerNorm`'s, and whether memory is saved."""
        return _with_memory(super().extra_repr(), self.memory_efficient)


class AddRMSNorm(RMSNorm):
    """RMS norm of the sum of two inputs; returns both, as a transformer's residual stream needs them.

    The parameters and arguments are `RMSNorm`'s, torch.nn's with `backend`; two more things differ:
    `forward(input, residual)` returns (output, sum), and `memory_efficient`.

    Args:
        normalized_shape: the last dimensions of the inputs, which are one row.
        eps: as of `RMSNorm`, as are the next three.
        elementwise_affine: whether there is a weight.
        device: of the parameters.
        dtype: of the parameters.
        memory_efficient: as of `AddLayerNorm`; columns whose weight is 0 count as 0.
        backend: who computes it.

    Example:
        >>> output, total = AddRMSNorm(2)(torch.ones(1, 2), torch.tensor([[0.0, 6.0]]))
        >>> [round(value, 4) for value in output[0].tolist()], total.tolist()
        ([0.2, 1.4], [[1.0, 7.0]])
    """

    memory_efficient: bool = False

    def __init__(
        self,
        normalized_shape: int | list[int] | torch.Size,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        memory_efficient: bool = False,
        backend: Backend = "auto",
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, device, dtype, backend=backend)
        self.memory_efficient = memory_efficient

    def forward(self, input: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return the normalised sum, and the sum."""
        return add_rms_norm(
            input,
            residual,
            self.normalized_shape,
            self.weight,
            self.eps,
            memory_efficient=self.memory_efficient,
            backend=self.backend,
        )

    def path_of(self, input: Tensor, residual: Tensor | None = None) -> Path:
        """Return who computes an input, with a residual like it or a given one, and why."""
        residual = input if residual is None else residual
        return row_path(
            "add_rms_norm",
            input,
            residual,
            self.normalized_shape,
            self.weight,
            None,
            self.backend,
            self.memory_efficient,
        )

    def extra_repr(self) -> str:
        """Return `RMSNorm`'s, and whether memory is saved."""
        return _with_memory(super().extra_repr(), self.memory_efficient)


class BatchNormAct2d(RunningStatistics, _NormBase):
    """Batch norm of images with the activation after it.

    The arguments, attributes and state dict are `torch.nn.BatchNorm2d`'s, with `activation`,
    `memory_efficient` and `backend`. It is no subclass of it, on purpose: where somebody converts batch norms
    to others, `convert_sync_batchnorm` or `Trainer(sync_batchnorm=True)`, the activation would be lost
    without a word. So it is left as it is there, and by `torch.optim.swa_utils.update_bn`, too.

    Args:
        num_features: the channels of the input, (samples, channels, height, width).
        eps: as of `BatchNorm2d`, as are the next six.
        momentum: the share of a batch in the running statistics; None is the mean of all batches.
        affine: whether there is a weight.
        track_running_stats: whether there are running statistics.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight.
        activation: "none", "relu", "silu" or "gelu" (with the error function, torch's default).
        memory_efficient: the backward pass keeps the input alone, and computes again what is between.
        backend: who computes it.

    Raises:
        ArgumentError: another activation or backend; in a forward pass, a backend that can't be honoured.

    Example:
        >>> layer = BatchNormAct2d(1, activation="relu").eval()
        >>> layer(torch.tensor([[[[-1.0, 0.0, 2.0]]]])).relu().gt(0).tolist()
        [[[[False, False, True]]]]
    """

    activation: Activation
    memory_efficient: bool
    backend: Backend

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
        activation: Activation = "relu",
        memory_efficient: bool = False,
        backend: Backend = "auto",
    ) -> None:
        options = {} if bias else {"bias": False}  # older versions of torch know none
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, **options)
        self.activation = checked_activation(activation)
        self.memory_efficient = memory_efficient
        self.backend = checked(backend)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"expected 4D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        """Return the activated norm, in the input's shape; update the running statistics in training."""
        self._check_input_dim(input)
        share = self._count()
        return batch_norm_act(
            input,
            *self._statistics(),
            self.weight,
            self.bias,
            self._uses_batch(),
            share,
            self.eps,
            activation=self.activation,
            memory_efficient=self.memory_efficient,
            backend=self.backend,
        )

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        return channel_path(
            "batch_norm_act",
            input,
            *self._statistics(),
            self.weight,
            self.bias,
            self._uses_batch(),
            self.eps,
            self.backend,
            self.activation,
            self.memory_efficient,
        )

    def extra_repr(self) -> str:
        """Return torch's for a batch norm, with the activation."""
        norm = super().extra_repr()  # type: ignore[no-untyped-call]
        own = f"{norm}, activation={self.activation!r}"
        return shown(_with_memory(own, self.memory_efficient), self.backend)


def _with_memory(representation: str, memory_efficient: bool) -> str:
    return f"{representation}, memory_efficient=True" if memory_efficient else representation
