"""Make an operator of ours differentiable in every way that torch knows.

An operator has two gradients: one that torch finds inside `torch.compile`, by `register_autograd`, and one
for everything else, a `torch.autograd.Function`, which `torch.func` understands. Both are made here from the
same functions. What no kernel was written for (forward mode, the derivative of a derivative, vmap over
parameters) goes through a plain version of the operator: the reference's formula, in torch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._library.custom_ops import CustomOpDef
from torch.autograd import forward_ad

Plain = Callable[..., tuple[Tensor, ...]]
Keep = Callable[[Any, tuple[Any, ...], tuple[Tensor, ...]], Sequence[int]]
Backward = Callable[..., tuple[Any, ...]]


def differentiable(
    operator: CustomOpDef,
    plain: Plain,
    keep: Keep | None = None,
    backward: Backward | None = None,
    *,
    batched: int = 0,
) -> Callable[..., tuple[Tensor, ...]]:
    """Return the operator as a function that can be differentiated.

    Args:
        operator: takes tensors, None and plain values, returns a tuple of tensors.
        plain: the same in differentiable torch.
        keep: saves what `backward` needs, as `torch.autograd.Function.setup_context` does, and returns the
            places of results that are not to be differentiated.
        backward: gradients of all arguments from those of the results, None where a result has none. By
            default both come from `plain`.
        batched: of how many arguments, from the first, the dimensions before those of a row are free: vmap
            over them is one call of the operator.
    """
    keep = keep or _save_inputs
    pull = backward or _backward_of(plain)

    def set_up(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)
        ctx.plain_values = [None if isinstance(value, Tensor) else value for value in inputs]
        ctx.save_for_forward(*(value if isinstance(value, Tensor) else None for value in inputs))
        ctx.fixed = keep(ctx, inputs, output)
        ctx.mark_non_differentiable(*(output[place] for place in ctx.fixed))

    class Differentiable(torch.autograd.Function):
        @staticmethod
        def forward(*inputs: Any) -> Any:
            return operator(*inputs)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            set_up(ctx, inputs, output)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor | None) -> Any:
            return pull(ctx, *grads)

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            pushed = _push_forward(plain, _saved_inputs(ctx), tangents)
            return tuple(None if place in ctx.fixed else tangent for place, tangent in enumerate(pushed))

        @staticmethod
        def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> Any:
            dims = [
                dim if isinstance(value, Tensor) else None for dim, value in zip(in_dims, inputs, strict=True)
            ]
            if any(dim is not None for dim in dims[batched:]):
                return _vmap_of(plain, dims, inputs, info.randomness)
            rows = [
                value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
                for dim, value in zip(dims[:batched], inputs, strict=False)
            ]
            result = call(*rows, *inputs[batched:])
            return result, (0,) * len(result)

    Differentiable.__name__ = Differentiable.__qualname__ = operator._qualname.replace("::", "_")
    operator.register_autograd(pull, setup_context=set_up)

    def call(*inputs: Any) -> Any:
        if torch.compiler.is_compiling():
            return operator(*inputs)
        return Differentiable.apply(*inputs)  # type: ignore[no-untyped-call]

    return call


def _save_inputs(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> Sequence[int]:
    ctx.save_for_backward(*(value if isinstance(value, Tensor) else None for value in inputs))
    return ()


def _saved_inputs(ctx: Any) -> list[Any]:
    pairs = zip(ctx.saved_tensors, ctx.plain_values, strict=True)
    return [plain if saved is None else saved for saved, plain in pairs]


def _backward_of(plain: Plain) -> Backward:
    """Return the gradients of a plain function; those of the operator that it stands for."""

    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = _saved_inputs(ctx)
        wanted = [place for place, needed in enumerate(ctx.needs_input_grad) if needed]
        with torch.enable_grad():
            outputs, pull, *_ = torch.func.vjp(
                _of(plain, inputs, wanted), *(inputs[place] for place in wanted)
            )
            pairs = zip(grads, outputs, strict=True)
            found = pull(tuple(torch.zeros_like(out) if grad is None else grad for grad, out in pairs))
        by_place = dict(zip(wanted, found, strict=True))
        return tuple(by_place.get(place) for place in range(len(inputs)))

    return backward


def _push_forward(plain: Plain, inputs: list[Any], tangents: Sequence[Any]) -> tuple[Tensor, ...]:
    """Return the derivative of the results along tangents of the inputs.

    By two backward passes (https://j-towns.github.io/2017/06/12/A-new-trick.html): the gradient is linear in
    the gradients of the results, and its transpose is asked for. torch turns forward mode off in here; an
    outer one, of a second derivative, needs it.
    """
    moved = [place for place, tangent in enumerate(tangents) if tangent is not None]
    with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
        inputs = [_without_tangent(value) for value in inputs]
        outputs, pull, *_ = torch.func.vjp(_of(plain, inputs, moved), *(inputs[place] for place in moved))
        _, push, *_ = torch.func.vjp(pull, tuple(torch.zeros_like(output) for output in outputs))
        (found,) = push(tuple(tangents[place] for place in moved))
    return tuple(found)


def _without_tangent(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return forward_ad.unpack_dual(value).primal  # type: ignore[no-untyped-call]


def _vmap_of(plain: Plain, dims: list[Any], inputs: Sequence[Any], randomness: str) -> Any:
    mapped = [place for place, dim in enumerate(dims) if dim is not None]
    over = tuple(dims[place] for place in mapped)
    function = torch.func.vmap(_of(plain, inputs, mapped), in_dims=over, randomness=randomness)
    result = function(*(inputs[place] for place in mapped))
    return result, (0,) * len(result)


def _of(plain: Plain, inputs: Sequence[Any], places: Sequence[int]) -> Plain:
    """Return the function of the arguments at some places, all others held."""

    def function(*values: Any) -> tuple[Tensor, ...]:
        filled = list(inputs)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        return plain(*filled)

    return function
