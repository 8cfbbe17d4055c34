"""Start a kernel wherever it can run, and say what it is compiled for where it cannot.

On a GPU a kernel goes through `torch.library.wrap_triton`, so that `torch.compile` and fake tensors see it.
With TRITON_INTERPRET=1 Triton runs it on CPU tensors, in Python; tests use that. The variable counts at the
first import of triton.
"""

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
import triton
from torch import Tensor
from torch._library.custom_ops import CustomOpDef
from torch._subclasses.fake_tensor import FakeTensor
from torch.library import custom_op, triton_op, wrap_triton


@dataclass(frozen=True, kw_only=True, slots=True)
class Specification:
    """A kernel with what it is compiled for: one usual case of it.

    Attributes:
        name: what it is called in tables.
        kernel: the decorated function.
        signature: the type of each argument as Triton writes it ("*bf16", "i32", "fp32"; "constexpr").
        constants: the values of the constexpr arguments.
        num_warps: of a program.
        num_stages: of its loops.
    """

    name: str
    kernel: Any
    signature: Mapping[str, str]
    constants: Mapping[str, int | float | bool]
    num_warps: int
    num_stages: int = 3


@triton.jit
def _probe():  # type: ignore[no-untyped-def]
    """Do nothing: its type tells how kernels are run."""


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on CPU tensors."""
    return not isinstance(_probe, triton.runtime.JITFunction)


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Run a kernel over a grid of programs; none runs where the grid is empty."""
    if 0 in grid:
        return
    if not interpreted():
        with _on_device_of(arguments):
            wrap_triton(kernel)[grid](*arguments, **constants)
    elif not any(isinstance(argument, FakeTensor) for argument in arguments):
        kernel[grid](*arguments, **constants)


def _on_device_of(arguments: tuple[Any, ...]) -> AbstractContextManager[Any]:
    """Make the device of the arguments the current one, on which Triton starts kernels."""
    tensor = next(argument for argument in arguments if isinstance(argument, Tensor))
    if not _has_gpu():
        return nullcontext()
    return torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]


@functools.cache
def _has_gpu() -> bool:
    return torch.cuda.is_available()


def operator(name: str) -> Callable[[Callable[..., Any]], CustomOpDef]:
    """Register a function that launches kernels as an operator of torch, `namespace::name`.

    On a GPU `torch.compile` looks into it and sees the kernels. Interpreted kernels it can't see; then the
    operator is opaque to it, and the same function on fake tensors, which `launch` leaves alone, tells
    shapes.
    """

    def decorate(function: Callable[..., Any]) -> CustomOpDef:
        if not interpreted():
            return cast(CustomOpDef, triton_op(name, function, mutates_args={}))
        registered = custom_op(name, function, mutates_args=())
        registered.register_fake(function)
        return registered

    return decorate
