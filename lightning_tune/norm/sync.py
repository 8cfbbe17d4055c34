"""`SyncBatchNorm`: batch norm over a batch that is spread over processes, on any device.

Each rank has the count, mean and M2 (sum of squared deviations) of its part; one all-reduce gives every rank
those of all ranks, which Chan's formula merges (Chan, Golub and LeVeque 1979; `reference.merge`). Its error
does not grow with the mean, as that of summed squares would. The backward pass has one all-reduce of its two
sums.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_tune.errors import ArgumentError
from lightning_tune.norm import reference
from lightning_tune.norm.batch import BatchNorm
from lightning_tune.norm.channel_functions import batch_norm
from lightning_tune.norm.dispatch import Backend, Path
from lightning_tune.norm.running import update_running_statistics

_ACROSS = "statistics over several ranks are computed by the reference's formulas"


class SyncBatchNorm(BatchNorm):
    """Normalise each channel over the batch of all ranks (Ioffe and Szegedy 2015).

    In training, in a process group of several ranks, the statistics are those of the joined batch; parts may
    differ in size, or be empty on some ranks. The gradients of weight and bias are this rank's part of the
    sum, as torch.nn's are: `DistributedDataParallel` averages them. Everywhere else it is batch norm.

    Differs from `torch.nn.SyncBatchNorm` in this: `backend`, who computes it; it works on a CPU, too; and its
    gradient can be differentiated again. Over several ranks the reference computes, and no other backend can
    be asked for. Arguments, attributes, state dict and output types are torch's. It is a subclass of
    torch.nn's batch norms, but not of `torch.nn.SyncBatchNorm`: `DistributedDataParallel` refuses any of
    those on a CPU.

    Args:
        num_features: the channels of the input, (samples, channels, *positions).
        eps: as of `BatchNorm1d`, as are the next three.
        momentum: the share of a batch in the running statistics.
        affine: whether there is a weight for each channel.
        track_running_stats: whether there are running statistics.
        process_group: whose ranks share a batch; None is all ranks.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight.
        backend: who computes it where it is batch norm.

    Raises:
        ArgumentError: another backend; in a forward pass, one that can't be honoured.

    Example:
        >>> [round(value, 3) for value in SyncBatchNorm(1)(torch.tensor([[1.0], [5.0]])).flatten().tolist()]
        [-1.0, 1.0]
    """

    process_group: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        backend: Backend = "auto",
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            device,
            dtype,
            bias=bias,
            backend=backend,
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape; update the running statistics in training."""
        self._check_input_dim(input)
        group = self._group()
        share = self._count()
        running_mean, running_var = self._statistics()
        if group is None:
            return batch_norm(
                input,
                running_mean,
                running_var,
                self.weight,
                self.bias,
                self._uses_batch(),
                share,
                self.eps,
                backend=self.backend,
            )
        self._check_backend()
        with torch.no_grad():
            count, mean, var = joined_statistics(input, group)
        update_running_statistics(running_mean, running_var, mean, var, count, share)
        values = (input, self.weight, self.bias, count, mean, var, self.eps, group)
        output: Tensor = _Normalise.apply(*values)  # type: ignore[no-untyped-call]
        return output

    def _group(self) -> Any:
        """Return the process group that shares the batch; None if nobody does, or not now."""
        if not (self.training and distributed.is_available() and distributed.is_initialized()):
            return None
        group = self.process_group or distributed.group.WORLD
        return group if distributed.get_world_size(group) > 1 else None

    def _check_backend(self) -> None:
        if self.backend in ("triton", "aten"):
            raise ArgumentError(
                f'`backend="{self.backend}"` can\'t be honoured for SyncBatchNorm on several ranks: '
                f'{_ACROSS}. Take "auto".'
            )

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        if self._group() is None:
            return super().path_of(input)
        self._check_backend()
        return Path(backend="reference", reason=_ACROSS)

    @classmethod
    def convert_sync_batchnorm(cls, module: nn.Module, process_group: Any = None) -> nn.Module:
        """Make each batch norm of a model a `SyncBatchNorm`, torch.nn's and ours, but for `BatchNormAct2d`.

        Args:
            module: the model; a batch norm itself is not changed.
            process_group: whose ranks share a batch; None is all ranks.

        Returns:
            The model, or the new layer if the model was a batch norm.

        Example:
            >>> SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm2d(3)))
            Sequential(
              (0): SyncBatchNorm(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
            )
        """
        if not isinstance(module, _BatchNorm):
            for name, child in module.named_children():
                module.add_module(name, cls.convert_sync_batchnorm(child, process_group))
            return module
        converted = cls(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
            process_group,
            bias=module.bias is not None,
        )
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(converted, name, getattr(module, name))
        return converted.train(module.training)  # with a backend for several ranks, not the old one


def joined_statistics(input: Tensor, group: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return count, mean and biased variance of the channels over all ranks of a group.

    Differentiable: the gradient of what all ranks make of it goes to all ranks.

    Args:
        input: (samples, channels, *positions), this rank's part; may be empty.
        group: a process group. Every rank of it must call this.

    Returns:
        (count, mean, variance): a scalar and two of (channels,), float32 (float64 for float64).
    """
    mean, var, count = reference.batch_norm_statistics(input)
    own = torch.cat([mean, var * count, mean.new_full((1,), count)])
    rank, ranks = distributed.get_rank(group), distributed.get_world_size(group)
    rows = torch.cat([own.new_zeros(rank, len(own)), own[None], own.new_zeros(ranks - rank - 1, len(own))])
    every = _sum_over_ranks(rows, group)
    means, m2s = every[:, :-1].chunk(2, dim=1)
    total, mean, m2 = reference.merge(every[:, -1], means, m2s)
    return total, mean, m2 / total.clamp(min=1)


def _sum_over_ranks(tensor: Tensor, group: Any) -> Tensor:
    total: Tensor = _SumOverRanks.apply(tensor, group)  # type: ignore[no-untyped-call]
    return total


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over the ranks, on every rank; its gradient is a sum over the ranks, too."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = tensor.contiguous().clone()
        distributed.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _sum_over_ranks(grad, ctx.group), None


class _Normalise(torch.autograd.Function):
    """Batch norm by the joined statistics, which follow the inputs of all ranks."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        count: Tensor,
        mean: Tensor,
        var: Tensor,
        eps: float,
        group: Any,
    ) -> Tensor:
        ctx.save_for_backward(input, weight, count, mean, var)
        ctx.eps, ctx.group = eps, group
        ctx.bias_dtype = None if bias is None else bias.dtype
        return reference.batch_norm_eval(input, mean, var, weight, bias, eps)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, count, mean, var = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again: as a function of the inputs
            count, mean, var = joined_statistics(input, ctx.group)
        rstd = torch.rsqrt(var + ctx.eps)
        grad_sum, grad_dot = reference.batch_norm_backward_sums(grad_output, input, mean, rstd)
        grad_input = None
        if ctx.needs_input_grad[0]:
            sum_all, dot_all = _sum_over_ranks(torch.stack([grad_sum, grad_dot]), ctx.group)
            grad_input = reference.batch_norm_backward_input(
                grad_output, input, mean, rstd, weight, sum_all, dot_all, count
            )
        grad_weight = None if weight is None else grad_dot.to(weight.dtype)
        grad_bias = None if ctx.bias_dtype is None else grad_sum.to(ctx.bias_dtype)
        return grad_input, grad_weight, grad_bias, None, None, None, None, None
