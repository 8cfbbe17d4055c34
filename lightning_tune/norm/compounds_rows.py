"""Residual add + layer or RMS norm as one differentiable function over rows, on the CPU.

Layer norm: Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450. RMS norm: Zhang and Sennrich 2019,
https://arxiv.org/abs/1910.07467. With h the normalised row, r the reciprocal deviation, n the columns and
d = weight * grad_output, the gradient of the sum is

    r * (d - mean(d) - h * mean(d * h)) + grad_sum      RMS norm has no mean(d)

What torch does in one fused pass stays one call of its operator; what it composes of many (RMS norm has no
fused operator on the CPU) goes by blocks of rows that stay in the cache.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_tune.norm.reference.add import (
    add_norm_backward,
    gradient_through_rstd,
    normal_from_output,
)

BLOCK_BYTES = 512 << 10
"""Of a block of rows, for each thread: about what the second-level cache of a core holds."""


class AddNorm(torch.autograd.Function):
    """(input, residual, weight, bias, shape, eps, centred, memory_efficient) to (output, sum, rstd).

    `centred` is layer norm, else RMS norm. `rstd` is for the derivative of the backward pass alone: with
    `memory_efficient` the sum is not kept, and what is recovered from the output depends on it through rstd.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        residual: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        shape: tuple[int, ...],
        eps: float | None,
        centred: bool,
        memory_efficient: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Add and normalise; keep the sum, or the output in its place."""
        mean = None
        if centred:
            total = input + residual
            output, mean, rstd = torch.native_layer_norm(total, shape, weight, bias, float(eps or 0.0))
        else:
            output, total, rstd = _rms_forward(input, residual, weight, math.prod(shape), eps)
        ctx.set_materialize_grads(False)
        ctx.settings = shape, eps, centred, memory_efficient
        kept = output if memory_efficient else total
        ctx.save_for_backward(kept, None if memory_efficient else mean, rstd, weight, bias)
        return output, total, rstd

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of input and residual (one tensor), weight and bias."""
        grad_output, grad_total, grad_rstd = gradients
        shape, _, centred, memory_efficient = ctx.settings
        kept, mean, rstd, weight, bias = ctx.saved_tensors
        if grad_rstd is not None or torch.is_grad_enabled():
            return _differentiable(ctx, grad_output, grad_total, grad_rstd)
        if grad_output is None:
            return grad_total, grad_total, *[None] * 6
        if centred and not memory_efficient:
            wanted = [True, *ctx.needs_input_grad[2:4]]
            grad, grad_weight, grad_bias = torch.ops.aten.native_layer_norm_backward(
                grad_output, kept, shape, mean, rstd, weight, bias, wanted
            )
            if grad_total is not None:
                grad = grad.add_(grad_total) if grad.dtype == grad_total.dtype else grad + grad_total
        else:
            rows = _Rows(math.prod(shape), kept, rstd, weight, bias, centred, memory_efficient)
            grad, grad_weight, grad_bias = rows.backward(grad_output, grad_total)
        needs = ctx.needs_input_grad
        return (
            grad if needs[0] else None,
            grad if needs[1] else None,
            None if grad_weight is None or not needs[2] else grad_weight.view(shape).to(weight.dtype),
            None if grad_bias is None or not needs[3] else grad_bias.view(shape).to(bias.dtype),
            *[None] * 4,
        )


class _Rows:
    """What the forward pass kept, as (rows, columns)."""

    def __init__(
        self,
        columns: int,
        kept: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        centred: bool,
        recovers: bool,
    ) -> None:
        self.kept, self.rstd = kept.view(-1, columns), rstd.view(-1, 1).to(_wide(kept))
        self.weight = None if weight is None else weight.view(-1).to(self.rstd.dtype)
        self.bias = None if bias is None else bias.view(-1).to(self.rstd.dtype)
        ones = torch.ones(columns, dtype=self.rstd.dtype)
        self.inverse = ones if self.weight is None else inverse(self.weight)
        self.shift = torch.zeros_like(self.inverse) if self.bias is None else -self.bias * self.inverse
        self.centred, self.recovers, self.columns = centred, recovers, columns

    def backward(
        self, grad_output: Tensor, grad_total: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the gradients of the sum, weight and bias; torch's fused pass on block after block.

        Its operator with mean 0 subtracts r * mean(d) where RMS norm does not: that is added again.
        """
        outer = grad_output.reshape(self.kept.shape)
        passed = None if grad_total is None else grad_total.reshape(self.kept.shape)
        result = torch.empty_like(self.kept)
        sums: list[Tensor | None] = [None, None]
        wanted = [True, self.weight is not None, self.bias is not None]
        for rows in blocks(self.kept):
            normal, rstd, factor = self._normal(rows)
            grad = outer[rows].to(rstd.dtype)
            zeros = torch.zeros_like(rstd)
            block, *parts = torch.ops.aten.native_layer_norm_backward(
                grad, normal, (self.columns,), zeros, rstd, self.weight, self.bias, wanted
            )
            if not self.centred:
                weighted = grad.sum(1) if self.weight is None else grad.mv(self.weight)
                block.add_(weighted.unsqueeze_(1).mul_(rstd).div_(self.columns))
            _finish(block, factor, None if passed is None else passed[rows], result[rows])
            sums = [part if old is None else old.add_(part) for old, part in zip(sums, parts, strict=True)]
        return result.view(grad_output.shape), sums[0], sums[1]

    def _normal(self, rows: slice) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return what stands for the input in torch's formula with mean 0, its rstd, and a factor after."""
        rstd = self.rstd[rows]
        kept = self.kept[rows].to(rstd.dtype)
        if not self.recovers:
            return kept, rstd, None
        return torch.addcmul(self.shift, kept, self.inverse), torch.ones_like(rstd), rstd


def inverse(weight: Tensor) -> Tensor:
    """Return 1 / weight; 0 where the weight is 0."""
    known = weight != 0
    return torch.where(known, 1 / torch.where(known, weight, 1), 0)


def _finish(block: Tensor, factor: Tensor | None, passed: Tensor | None, result: Tensor) -> None:
    """Write `block * factor + passed`; what is missing is 1, or 0."""
    if factor is not None and passed is not None and passed.dtype == block.dtype:
        torch.addcmul(passed, block, factor, out=result)
        return
    if factor is not None:
        block.mul_(factor)
    if passed is None:
        result.copy_(block)
    else:
        torch.add(block, passed, out=result)


def blocks(rows: Tensor) -> Iterator[slice]:
    """Yield slices of the first dimension that stay in the cache, as large as all threads can share.

    There are at least sixteen, so that what is computed of one block is small beside the whole.
    """
    each = BLOCK_BYTES * torch.get_num_threads() // max(1, rows[0].numel() * rows.itemsize)
    each = max(1, min(each, len(rows) // 16))
    for start in range(0, len(rows), each):
        yield slice(start, start + each)


def _wide(tensor: Tensor) -> torch.dtype:
    """Return the type that sums and statistics are computed in."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _rms_forward(
    input: Tensor, residual: Tensor, weight: Tensor | None, columns: int, eps: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return output, sum and rstd of an RMS norm, block by block."""
    wide = _wide(input)
    total, output = torch.empty_like(input).view(-1, columns), torch.empty_like(input).view(-1, columns)
    rstd = torch.empty(len(total), 1, dtype=wide)
    scale = None if weight is None else weight.view(-1).to(wide)
    smallest = torch.finfo(wide).eps if eps is None else eps
    left, right = input.view(-1, columns), residual.view(-1, columns)
    for rows in blocks(total):
        block = torch.add(left[rows], right[rows], out=total[rows]).to(wide)
        norm = torch.linalg.vector_norm(block, dim=1, keepdim=True)
        torch.rsqrt(norm.square_().div_(columns).add_(smallest), out=rstd[rows])
        if scale is None:
            torch.mul(block, rstd[rows], out=output[rows])
        else:
            torch.mul(block * rstd[rows], scale, out=output[rows])
    return output.view(input.shape), total.view(input.shape), rstd


def _differentiable(
    ctx: Any, grad_output: Tensor | None, grad_total: Tensor | None, grad_rstd: Tensor | None
) -> tuple[Tensor | None, ...]:
    """Return the same gradients by operators that autograd can differentiate again."""
    shape, eps, centred, memory_efficient = ctx.settings
    kept, _, rstd, weight, bias = ctx.saved_tensors
    wide = _wide(kept)
    if memory_efficient:
        rstd = rstd.to(wide).view(kept.shape[: kept.dim() - len(shape)])
        normal = normal_from_output(kept, rstd, weight, bias)
    else:
        over = tuple(range(-len(shape), 0))
        value = kept.to(wide)
        value = value - value.mean(over, keepdim=True) if centred else value
        smallest = torch.finfo(wide).eps if eps is None else eps
        rstd = (value.square().mean(over, keepdim=True) + smallest).rsqrt()
        normal, rstd = value * rstd, rstd.squeeze(over)
    grad = torch.zeros_like(normal) if grad_total is None else grad_total.to(wide)
    grad_weight = grad_bias = None
    if grad_output is not None:
        grad, *grads = add_norm_backward(grad_output, grad, normal, rstd, weight, centred=centred)
        grad_weight = None if weight is None else grads[0].to(weight.dtype)
        grad_bias = None if bias is None else grads[1].to(bias.dtype)
    if grad_rstd is not None:
        grad = grad + gradient_through_rstd(grad_rstd.to(wide).view_as(rstd), rstd, normal)
    grad = grad.to(kept.dtype)
    return grad, grad, grad_weight, grad_bias, *[None] * 4
