"""Which code computes a norm: our kernels, torch's own operators, or the reference in plain torch.

`"auto"` takes the Triton kernels on a GPU and the kernels in C++ on a CPU where they cover the case (on a CPU
where the input is large enough for them to be faster, too), and torch's fused operators for all else. It may
not cost anything on a CPU, where a small norm takes 30 microseconds: the functions of `functional.py` ask for
device and size there before they call torch. An explicit backend is taken at its word: it computes, or an
error says why it can't.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lightning_tune.errors import ArgumentError

Backend = Literal["auto", "triton", "cpp", "aten", "reference"]
Chosen = Literal["triton", "cpp", "aten", "reference"]
Obstacle = Callable[[], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """The code that computes a norm of an input.

    Attributes:
        backend: "triton" or "cpp", our kernels; "aten", torch's operators; "reference", plain torch.
        reason: why that one, in words.

    Example:
        >>> print(Path(backend="aten", reason="the input is on cpu"))
        aten: the input is on cpu
    """

    backend: Chosen
    reason: str

    def __str__(self) -> str:
        return f"{self.backend}: {self.reason}"


def explain(module: nn.Module, *inputs: Tensor) -> Path:
    """Say which code a layer takes for an input, and why. Nothing is computed.

    The kernels in C++ are compiled where that depends on whether they can be.

    Args:
        module: a layer of `lightning_tune.norm`.
        inputs: what would go in; of a layer that adds a residual the input alone is enough. Values do not
            matter. The mode of the layer, train or eval, does, and whether gradients are on.

    Returns:
        The path and its reason.

    Raises:
        ArgumentError: the module is no layer of ours, an input is no tensor, or an explicit backend can't
            compute it.

    Example:
        >>> from lightning_tune.norm import LayerNorm
        >>> explain(LayerNorm(4), torch.ones(2, 4)).backend
        'aten'
        >>> print(explain(LayerNorm(4, backend="reference"), torch.ones(2, 4)))
        reference: `backend` asks for it
    """
    path_of = getattr(module, "path_of", None)
    if path_of is None:
        raise ArgumentError(
            f"`module` must be a layer of lightning_tune.norm, got {type(module).__name__}. `replace_norms` "
            "makes torch.nn's norm layers ours; of a larger model explain its layers one by one."
        )
    for input in inputs:
        if not isinstance(input, Tensor):
            raise ArgumentError(f"`inputs` must be tensors, got {type(input).__name__}.")
    path: Path = path_of(*inputs)
    return path


def choose(
    operation: str,
    input: Tensor,
    backend: Backend = "auto",
    obstacle: str | None = None,
    in_cpp: Obstacle | None = None,
    worth: bool = True,
) -> Path:
    """Return the code that computes a norm.

    Args:
        operation: the functional's name, for the error.
        input: what is normalised; its type and device count.
        backend: what is asked for.
        obstacle: why torch's operator must be called whatever is asked for (`coverage.py`); None if nothing
            is in the way.
        in_cpp: says what else is in the way of the kernels in C++; None if there are none for the operation.
        worth: whether the input is large enough for these to be faster than torch's operator.

    Returns:
        The path and its reason.

    Raises:
        ArgumentError: an unknown backend, or one that can't compute this.

    Example:
        >>> choose("layer_norm", torch.ones(2, 4, dtype=torch.float64), "auto").backend
        'aten'
        >>> choose("layer_norm", torch.ones(2, 4, dtype=torch.float64), "triton")
        Traceback (most recent call last):
          ...
        lightning_tune.errors.ArgumentError: `backend="triton"` can't be honoured for layer_norm: the \
kernels compute in float32, and the input is torch.float64.
    """
    chosen, reason = pick(operation, input, backend, obstacle, in_cpp, worth)
    return Path(backend=chosen, reason=reason)


def pick(
    operation: str,
    input: Tensor,
    backend: Backend,
    obstacle: str | None,
    in_cpp: Obstacle | None = None,
    worth: bool = True,
) -> tuple[Chosen, str]:
    """Return backend and reason of `choose`, in a form that `torch.compile` can trace."""
    match backend:
        case "aten":
            return "aten", "`backend` asks for it"
        case "reference":
            if obstacle is None:
                return "reference", "`backend` asks for it"
            raise _refusal(operation, backend, obstacle)
        case "triton":
            obstacle = obstacle or _kernels_refuse(input.dtype, input.device)
            if obstacle is None:
                return "triton", "`backend` asks for it"
            raise _refusal(operation, backend, obstacle)
        case "cpp":
            obstacle = obstacle or ("there is no such kernel" if in_cpp is None else in_cpp())
            if obstacle is None:
                return "cpp", "`backend` asks for it"
            raise _refusal(operation, backend, obstacle)
        case "auto" if input.is_cuda:
            obstacle = obstacle or _kernels_refuse(input.dtype, input.device)
            if obstacle is None:
                return "triton", f"the input is {input.dtype} on {input.device}, which the kernels cover"
            return "aten", obstacle
        case "auto":
            if in_cpp is None:
                return "aten", f"the input is on {input.device}, where torch's own operator is the fastest"
            if not worth:
                return "aten", f"torch's own operator is the fastest for this size and type on {input.device}"
            obstacle = obstacle or in_cpp()
            if obstacle is None:
                return (
                    "cpp",
                    f"the kernels in C++ are the fastest for this size and type on {input.device}",
                )
            return "aten", obstacle
    raise ArgumentError(_unknown(backend))


def chosen(
    operation: str,
    input: Tensor,
    backend: Backend,
    obstacle: str | None,
    aten: Callable[[], object],
    in_cpp: Obstacle | None = None,
) -> Chosen:
    """Return the backend of `choose`; but what torch refuses is refused by torch.

    Args:
        operation: as of `choose`, as are the next three.
        input: what is normalised.
        backend: what is asked for.
        obstacle: what is in the way.
        aten: the call of torch's operator, which raises where torch has something against the arguments.
        in_cpp: as of `choose`; on a CPU, "auto" is asked for only where the kernels in C++ would be faster.
    """
    if obstacle is not None and backend in ("triton", "cpp", "reference"):
        aten()
    return pick(operation, input, backend, obstacle, in_cpp)[0]


def as_under_autocast(input: Tensor) -> Tensor:
    """Return the input of layer, RMS or group norm as autocast casts it: to float32, on a GPU.

    On a CPU autocast leaves norms alone, and batch and instance norm everywhere.
    """
    if input.is_cuda and torch.is_autocast_enabled("cuda") and input.dtype != torch.float64:
        return input.float()
    return input


def checked(backend: Backend) -> Backend:
    """Return a backend that exists.

    Example:
        >>> checked("fast")
        Traceback (most recent call last):
          ...
        lightning_tune.errors.ArgumentError: `backend` must be one of "auto", "triton", "cpp", "aten", \
"reference", got 'fast'.
    """
    if backend not in get_args(Backend):
        raise ArgumentError(_unknown(backend))
    return backend


def shown(representation: str, backend: Backend) -> str:
    """Return a layer's `extra_repr` with its backend, if that is not the usual one.

    Example:
        >>> shown("3, eps=1e-05", "auto"), shown("3, eps=1e-05", "aten")
        ('3, eps=1e-05', "3, eps=1e-05, backend='aten'")
    """
    return representation if backend == "auto" else f"{representation}, backend={backend!r}"


def _unknown(backend: object) -> str:
    names = ", ".join(f'"{name}"' for name in get_args(Backend))
    return f"`backend` must be one of {names}, got {backend!r}."


def _refusal(operation: str, backend: str, reason: str) -> ArgumentError:
    return ArgumentError(f'`backend="{backend}"` can\'t be honoured for {operation}: {reason}.')


def _kernels_refuse(dtype: torch.dtype, device: torch.device) -> str | None:
    """Say why the kernels can't take tensors of a type on a device; a constant to `torch.compile`."""
    return _usable(dtype, device)


# This is `torch.compiler.assume_constant_result`; to call it would import all of the compiler, and triton.
_kernels_refuse._dynamo_marked_constant = True  # type: ignore[attr-defined]


@functools.cache
def _usable(dtype: torch.dtype, device: torch.device) -> str | None:
    from lightning_tune.norm import kernels

    return kernels.usable(torch.empty(0, dtype=dtype, device=device))
