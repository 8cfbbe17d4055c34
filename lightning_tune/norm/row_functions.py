"""Layer norm and RMS norm as functions, alone and of a sum with a residual."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor
from torch.nn import functional

from lightning_tune.norm import composed, coverage, cpp, reference
from lightning_tune.norm.cpp.rows import row_norm
from lightning_tune.norm.dispatch import Backend, Path, as_under_autocast, choose, chosen


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Normalise each row, the dimensions of `normalized_shape`, by its mean and deviation.

    Args:
        input: (*, *normalized_shape).
        normalized_shape: the last dimensions.
        weight: (*normalized_shape), or None for 1.
        bias: (*normalized_shape), or None for 0.
        eps: added to the variance.
        backend: who computes.

    Returns:
        In the input's shape and type; float32 under autocast on a GPU, as torch's.

    Raises:
        ArgumentError: a backend that can't be honoured. What torch refuses is torch's RuntimeError.

    Example:
        >>> import torch
        >>> layer_norm(torch.tensor([[1.0, 3.0], [2.0, 10.0]]), [2], eps=0.0).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]
    """
    if (
        backend == "auto"
        and input.is_cuda is not True
        and not cpp.rows_pay("layer_norm", input, normalized_shape)
    ):
        return functional.layer_norm(input, normalized_shape, weight, bias, eps)
    aten = partial(functional.layer_norm, input, list(normalized_shape), weight, bias, eps)
    obstacle = coverage.rows(input, normalized_shape, weight, bias)
    in_cpp = partial(cpp.rows_obstacle, input, None, weight, bias)
    match chosen("layer_norm", input, backend, obstacle, aten, in_cpp):
        case "cpp":
            shape = tuple(normalized_shape)
            return row_norm(input, None, shape, weight, bias, eps, centred=True)[0]
        case "triton":
            from lightning_tune.norm.kernels import row_operators

            return row_operators.layer_norm(input, normalized_shape, weight, bias, eps)
        case "reference":
            return reference.layer_norm(as_under_autocast(input), normalized_shape, weight, bias, eps)[0]
        case _:
            return aten()


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Divide each row, the dimensions of `normalized_shape`, by its root mean square.

    Args:
        input: (*, *normalized_shape).
        normalized_shape: the last dimensions.
        weight: (*normalized_shape), or None for 1.
        eps: added to the mean square; None is the machine epsilon of the type that is computed in (2^-23 for
            bfloat16 and float16, too).
        backend: who computes.

    Returns:
        In the input's shape and type; float32 under autocast on a GPU, as torch's.

    Raises:
        ArgumentError: a backend that can't be honoured. What torch refuses is torch's RuntimeError.

    Example:
        >>> import torch
        >>> [round(value, 4) for value in rms_norm(torch.tensor([1.0, 7.0]), [2]).tolist()]
        [0.2, 1.4]
    """
    if (
        backend == "auto"
        and input.is_cuda is not True
        and not cpp.rows_pay("rms_norm", input, normalized_shape)
    ):
        return functional.rms_norm(input, normalized_shape, weight, eps)
    aten = partial(functional.rms_norm, input, list(normalized_shape), weight, eps)
    obstacle = coverage.rows(input, normalized_shape, weight)
    in_cpp = partial(cpp.rows_obstacle, input, None, weight)
    match chosen("rms_norm", input, backend, obstacle, aten, in_cpp):
        case "cpp":
            shape = tuple(normalized_shape)
            return row_norm(input, None, shape, weight, None, eps, centred=False)[0]
        case "triton":
            from lightning_tune.norm.kernels import row_operators

            return row_operators.rms_norm(input, normalized_shape, weight, eps)
        case "reference":
            return reference.rms_norm(as_under_autocast(input), normalized_shape, weight, eps)[0]
        case _:
            return aten()


def add_layer_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    memory_efficient: bool = False,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Return the layer norm of `input + residual`, and the sum.

    Args:
        input: (*, *normalized_shape).
        residual: the same, or what can be added to it.
        normalized_shape: the last dimensions.
        weight: (*normalized_shape), or None for 1.
        bias: (*normalized_shape), or None for 0.
        eps: added to the variance.
        memory_efficient: the backward pass works from the output, which the next layer keeps anyway, and does
            not keep the sum. Columns whose weight is 0 then count as at the mean of their row.
        backend: who computes.

    Returns:
        (output, sum).

    Raises:
        ArgumentError: a backend that can't be honoured. What torch refuses is torch's RuntimeError.

    Example:
        >>> import torch
        >>> output, total = add_layer_norm(torch.ones(1, 2), torch.tensor([[1.0, 3.0]]), [2], eps=0.0)
        >>> output.tolist(), total.tolist()
        ([[-1.0, 1.0]], [[2.0, 4.0]])
    """
    on_cpu = backend == "auto" and input.is_cuda is not True
    if on_cpu and not cpp.rows_pay("add_layer_norm", input, normalized_shape, always=memory_efficient):
        return composed.add_layer_norm(input, residual, normalized_shape, weight, bias, eps)
    values = (input, residual, list(normalized_shape), weight, bias, eps)
    obstacle = coverage.sums(input, residual, normalized_shape, weight, bias)
    own = partial(row_norm, input, residual, tuple(normalized_shape), weight, bias, eps, centred=True)
    aten = partial(composed.add_layer_norm, *values)
    if memory_efficient and obstacle is None and _alike(input, residual):
        aten = partial(own, memory_efficient=True, compiled=False)
    in_cpp = partial(cpp.rows_obstacle, input, residual, weight, bias)
    match chosen("add_layer_norm", input, backend, obstacle, aten, in_cpp):
        case "cpp":
            return own(memory_efficient=memory_efficient)
        case "triton":
            from lightning_tune.norm.kernels import row_operators

            return row_operators.add_layer_norm(*values, memory_efficient)
        case "reference":
            total = input + residual
            return reference.layer_norm(as_under_autocast(total), normalized_shape, weight, bias, eps)[
                0
            ], total
        case _:
            return aten()


def add_rms_norm(
    input: Tensor,
    residual: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
    *,
    memory_efficient: bool = False,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Return the RMS norm of `input + residual`, and the sum.

    Args:
        input: (*, *normalized_shape).
        residual: the same, or what can be added to it.
        normalized_shape: the last dimensions.
        weight: (*normalized_shape), or None for 1.
        eps: added to the mean square; None as in `rms_norm`.
        memory_efficient: as in `add_layer_norm`; columns whose weight is 0 count as 0.
        backend: who computes.

    Returns:
        (output, sum).

    Raises:
        ArgumentError: a backend that can't be honoured. What torch refuses is torch's RuntimeError.

    Example:
        >>> import torch
        >>> output, total = add_rms_norm(torch.ones(1, 2), torch.tensor([[0.0, 6.0]]), [2])
        >>> [round(value, 4) for value in output[0].tolist()], total.tolist()
        ([0.2, 1.4], [[1.0, 7.0]])
    """
    on_cpu = backend == "auto" and input.is_cuda is not True
    if on_cpu and not cpp.rows_pay("add_rms_norm", input, normalized_shape, always=memory_efficient):
        return composed.add_rms_norm(input, residual, normalized_shape, weight, eps)
    values = (input, residual, list(normalized_shape), weight, eps)
    obstacle = coverage.sums(input, residual, normalized_shape, weight)
    own = partial(row_norm, input, residual, tuple(normalized_shape), weight, None, eps, centred=False)
    aten = partial(composed.add_rms_norm, *values)
    if memory_efficient and obstacle is None and _alike(input, residual):
        aten = partial(own, memory_efficient=True, compiled=False)
    in_cpp = partial(cpp.rows_obstacle, input, residual, weight)
    match chosen("add_rms_norm", input, backend, obstacle, aten, in_cpp):
        case "cpp":
            return own(memory_efficient=memory_efficient)
        case "triton":
            from lightning_tune.norm.kernels import row_operators

            return row_operators.add_rms_norm(*values, memory_efficient)
        case "reference":
            total = input + residual
            return reference.rms_norm(as_under_autocast(total), normalized_shape, weight, eps)[0], total
        case _:
            return aten()


def row_path(
    operation: str,
    input: Tensor,
    residual: Tensor | None,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    backend: Backend,
    memory_efficient: bool = False,
) -> Path:
    """Return who computes one of these functions, and why.

    Args:
        operation: its name.
        input: its argument, as are the next four; None where it has none.
        residual: what is added.
        normalized_shape: of a row.
        weight: of a row, or None.
        bias: of a row, or None.
        backend: what is asked for.
        memory_efficient: whether the backward pass is to keep less.
    """
    if residual is None:
        obstacle = coverage.rows(input, normalized_shape, weight, bias)
    else:
        obstacle = coverage.sums(input, residual, normalized_shape, weight, bias)
    in_cpp = partial(cpp.rows_obstacle, input, residual, weight, bias)
    worth = cpp.rows_pay(operation, input, normalized_shape, always=memory_efficient)
    return choose(operation, input, backend, obstacle, in_cpp, worth)


def _alike(input: Tensor, residual: Tensor) -> bool:
    """Whether one gradient fits both, there is something to save, and torch need not see its operators."""
    same = input.shape == residual.shape and input.dtype == residual.dtype
    return same and input.numel() > 0 and cpp.transforms_obstacle() is None
