"""Run the kernels in Triton's interpreter, on CPU tensors; with TRITON_INTERPRET=0 on the GPU.

Triton reads the variable when it is first imported, in a process that runs many tests, so it is set here,
while tests are collected: before any of them runs.
"""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._pytree import tree_leaves

if "triton" not in sys.modules:
    os.environ.setdefault("TRITON_INTERPRET", "1")

from lightning_tune.norm.kernels.launch import interpreted

if not interpreted() and not torch.cuda.is_available():
    raise pytest.UsageError(
        "triton was imported with TRITON_INTERPRET unset, and there is no GPU: set TRITON_INTERPRET=1"
    )


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where kernels run."""
    return torch.device("cpu" if interpreted() else "cuda")


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill every new buffer with NaN, so that what a kernel forgets to write shows."""
    empty = torch.empty

    def filled(*size: object, **options: object) -> Tensor:
        return empty(*size, **options).fill_(torch.nan)  # type: ignore[call-overload]

    monkeypatch.setattr(torch, "empty", filled)


@pytest.fixture
def assert_near() -> Callable[..., None]:
    """Compare with a float64 result, to the rounding of the storage type and of float32 sums."""
    return _assert_near


def _assert_near(
    actual: Tensor | None, expected: Tensor | None, *, scale: float, condition: float = 1.0
) -> None:
    """Fail unless every element is as near as its type allows.

    Args:
        actual: what a kernel returned.
        expected: the same in float64.
        scale: size of the terms that an element is added up of; their rounding shows in the smallest sum.
        condition: by how much the input's own rounding is amplified: 1 + |mean| / deviation.
    """
    assert (actual is None) == (expected is None)
    if actual is None or expected is None:
        return
    assert actual.shape == expected.shape
    stored, computed = torch.finfo(actual.dtype).eps, torch.finfo(torch.float32).eps
    bound = stored * expected.abs() + 4 * computed * condition * scale
    error = (actual.double() - expected.to(actual.device)).abs()
    assert bool((error <= bound.to(actual.device)).all()), (
        f"{(error / bound.to(actual.device)).max()} x the bound"
    )


Function = Callable[..., tuple[Tensor, ...]]
Transform = Callable[[Function, list[Tensor]], object]


def _loss(function: Function) -> Callable[..., Tensor]:
    """Return a scalar whose derivatives of every order depend on all outputs."""

    def loss(*tensors: Tensor) -> Tensor:
        outputs = function(*tensors)
        result = outputs[0].pow(3).sum()
        return result + (outputs[0] * outputs[-1].sin()).sum()

    return loss


def _grads(function: Function, tensors: list[Tensor], order: int) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    value, grads = _loss(function)(*leaves), []
    for _ in range(order):
        found = torch.autograd.grad(value, leaves, create_graph=True, materialize_grads=True)
        grads = [grad.detach() for grad in found]
        value = torch.stack([(grad * (grad + place)).sum() for place, grad in enumerate(found)]).sum()
    return grads


def _compiled_grads(function: Function, tensors: list[Tensor]) -> list[Tensor]:
    if tensors[0].dtype == torch.float64:
        return _grads(function, tensors, 1)
    return _grads(torch.compile(function, fullgraph=True, backend="aot_eager"), tensors, 1)


def _tangents(tensors: list[Tensor]) -> tuple[Tensor, ...]:
    return tuple(tensor.square() + 1 for tensor in tensors)


def _mapped(function: Function, tensors: list[Tensor], place: int) -> object:
    """Map over one argument, of which there are three, in its second dimension."""
    several = torch.stack(
        [tensors[place], tensors[place] * 2, tensors[place] - 1], min(1, tensors[place].ndim)
    )
    in_dims = tuple(min(1, tensors[place].ndim) if other == place else None for other in range(len(tensors)))
    given = [several if other == place else tensor for other, tensor in enumerate(tensors)]
    return torch.func.vmap(torch.func.grad_and_value(_loss(function), place), in_dims)(*given)


def _mapped_twice(function: Function, tensors: list[Tensor]) -> object:
    first, *rest = tensors
    in_dims = (0, *[None] * len(rest))
    several = torch.stack([torch.stack([first, first + 1]), torch.stack([first * 2, -first])])
    return torch.func.vmap(torch.func.vmap(function, in_dims), in_dims)(several, *rest)


def _dual(function: Function, tensors: list[Tensor]) -> object:
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*pair) for pair in zip(tensors, _tangents(tensors), strict=True)]
        return [forward_ad.unpack_dual(output).tangent for output in function(*duals)]


def _second(outer: Callable[..., Callable[..., object]], inner: Callable[..., object]) -> Transform:
    def transform(function: Function, tensors: list[Tensor]) -> object:
        places = tuple(range(len(tensors)))
        return outer(inner(_loss(function), places), places)(*tensors)

    return transform


TRANSFORMS: dict[str, Transform] = {
    "value": lambda function, tensors: function(*tensors),
    "grad": lambda function, tensors: _grads(function, tensors, 1),
    "grad of grad": lambda function, tensors: _grads(function, tensors, 2),
    "third order": lambda function, tensors: _grads(function, tensors, 3),
    "func.grad": lambda function, tensors: torch.func.grad(_loss(function), tuple(range(len(tensors))))(
        *tensors
    ),
    "jvp": lambda function, tensors: torch.func.jvp(function, tuple(tensors), _tangents(tensors)),
    "forward mode": _dual,
    "vmap over the input": lambda function, tensors: _mapped(function, tensors, 0),
    "vmap over the last": lambda function, tensors: _mapped(function, tensors, len(tensors) - 1),
    "vmap of vmap": _mapped_twice,
    "jacrev of jacrev": _second(torch.func.jacrev, torch.func.jacrev),
    "hessian": _second(torch.func.jacfwd, torch.func.jacrev),
    "jacrev of jacfwd": _second(torch.func.jacrev, torch.func.jacfwd),
    "jacfwd of jacfwd": _second(torch.func.jacfwd, torch.func.jacfwd),
    "torch.compile": _compiled_grads,
}


@pytest.fixture(params=TRANSFORMS)
def assert_derives(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare a function with the same in plain torch and float64, under each way torch has to derive it."""

    def check(function: Function, plain: Function, tensors: list[Tensor]) -> None:
        transform = TRANSFORMS[request.param]
        found = tree_leaves(transform(function, tensors))
        expected = tree_leaves(transform(plain, [tensor.double() for tensor in tensors]))
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(
                one.double(), other, rtol=1e-4, atol=2e-5 * float(other.abs().max()) + 1e-6
            )

    return check


@pytest.fixture
def compiled() -> Callable[..., str]:
    """Run Python code in a process whose kernels are not interpreted, and return what it prints."""

    def run(*arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
