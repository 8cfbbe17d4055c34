"""The layers that `norm_speed.py` times: ours, torch.nn's, and the from-scratch reference of each.

A step is a forward and a backward pass to the gradients of the inputs and of all parameters. A compound's
peer is the two calls that it replaces; the sum of a residual block is used further on, so it has a gradient.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from lightning_tune import norm

ROWS = ((256, 512), (4096, 1024), (64, 197, 768))
IMAGES = (64, 64, 56, 56)
GROUPS = 32
DTYPES = (torch.float32, torch.bfloat16)
Tensors: TypeAlias = tuple[list[Tensor], list[Tensor]]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


class TwoCalls(nn.Module):
    """A residual is added, then normalised: what `AddLayerNorm` and `AddRMSNorm` do."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, input: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the norm of the sum, and the sum."""
        total = input + residual
        return self.layer(total), total


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer at a shape and type.

    Attributes:
        layer: its name.
        shape: of the input.
        dtype: of input and parameters.
        inputs: how many tensors it takes (and returns).
        ours: makes ours; `backend="reference"` makes the one from scratch.
        theirs: makes torch.nn's.
        compound: whether two calls are its peer.
        memory_efficient: whether it recomputes in the backward pass.
    """

    layer: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    inputs: int
    ours: Callable[..., nn.Module]
    theirs: Callable[[], nn.Module]
    compound: bool = False
    memory_efficient: bool = False

    @property
    def name(self) -> str:
        """The layer with how it is used."""
        return f"{self.layer}{', memory-efficient' if self.memory_efficient else ''}"

    @property
    def bytes(self) -> int:
        """Of the input."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def moved_bytes(self) -> int:
        """What a step must move: each input read once and each output written once, in both directions.

        Forward: the inputs and as many outputs. Backward: a gradient an output, what was normalised, and the
        gradient of the input.
        """
        return self.bytes * (3 * self.inputs + 2)

    def tensors(self, device: str = "cpu") -> Tensors:
        """Return the inputs and the gradients of the outputs, of a seed; contenders share them."""
        generator = torch.Generator().manual_seed(0)

        def tensor() -> Tensor:
            return torch.randn(self.shape, generator=generator).to(device, self.dtype)

        inputs = [tensor().requires_grad_() for _ in range(self.inputs)]
        return inputs, [tensor() for _ in range(self.inputs)]

    def step(self, layer: nn.Module, tensors: Tensors) -> Callable[[], Any]:
        """Return a forward and backward pass of a layer."""
        inputs, gradients = tensors
        layer = layer.to(inputs[0].device, self.dtype).train()
        wanted = [*inputs, *layer.parameters()]

        def run() -> Any:
            outputs = layer(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return torch.autograd.grad(outputs, wanted, gradients)

        return run


def cases(dtypes: Sequence[torch.dtype] = DTYPES, *, quick: bool = False) -> Iterator[Case]:
    """Yield every case, the smallest shapes alone if it shall be quick.

    They come first: once large tensors were there, small ones lie anywhere in the heap, and cost that more.
    """
    for shape in ROWS[:1] if quick else ROWS:
        for dtype in dtypes:
            yield from _row_cases(shape, dtype)
            yield from _add_cases(shape, dtype)
    images = (8, 64, 28, 28) if quick else IMAGES
    for dtype in dtypes:
        yield from _channel_cases(images, dtype)
        yield from _activation_cases(images, dtype)


def _row_cases(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[Case]:
    width = shape[-1]
    said: dict[str, Any] = {"shape": shape, "dtype": dtype, "inputs": 1}
    yield Case(
        layer="LayerNorm",
        ours=lambda **options: norm.LayerNorm(width, **options),
        theirs=lambda: nn.LayerNorm(width),
        **said,
    )
    yield Case(
        layer="RMSNorm",
        ours=lambda **options: norm.RMSNorm(width, **options),
        theirs=lambda: nn.RMSNorm(width),
        **said,
    )
    if shape == ROWS[0]:
        yield Case(
            layer="BatchNorm1d",
            ours=lambda **options: norm.BatchNorm1d(width, **options),
            theirs=lambda: nn.BatchNorm1d(width),
            **said,
        )


def _channel_cases(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[Case]:
    channels = shape[1]
    said: dict[str, Any] = {"shape": shape, "dtype": dtype, "inputs": 1}
    yield Case(
        layer="BatchNorm2d",
        ours=lambda **options: norm.BatchNorm2d(channels, **options),
        theirs=lambda: nn.BatchNorm2d(channels),
        **said,
    )
    yield Case(
        layer="GroupNorm",
        ours=lambda **options: norm.GroupNorm(GROUPS, channels, **options),
        theirs=lambda: nn.GroupNorm(GROUPS, channels),
        **said,
    )


def _add_cases(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[Case]:
    width = shape[-1]
    pairs = (("AddLayerNorm", norm.AddLayerNorm, nn.LayerNorm), ("AddRMSNorm", norm.AddRMSNorm, nn.RMSNorm))
    for name, ours, theirs in pairs:
        for memory_efficient in (False, True):
            yield Case(
                layer=name,
                shape=shape,
                dtype=dtype,
                inputs=2,
                ours=lambda ours=ours, saves=memory_efficient, **options: ours(
                    width, memory_efficient=saves, **options
                ),
                theirs=lambda theirs=theirs: TwoCalls(theirs(width)),  # type: ignore[misc]
                compound=True,
                memory_efficient=memory_efficient,
            )


def _activation_cases(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[Case]:
    channels = shape[1]
    for activation, module in ACTIVATIONS.items():
        for memory_efficient in (False, True):
            yield Case(
                layer=f"BatchNormAct2d {activation}",
                shape=shape,
                dtype=dtype,
                inputs=1,
                ours=lambda activation=activation, saves=memory_efficient, **options: norm.BatchNormAct2d(
                    channels, activation=activation, memory_efficient=saves, **options
                ),
                theirs=lambda module=module: nn.Sequential(nn.BatchNorm2d(channels), module()),  # type: ignore[misc]
                compound=True,
                memory_efficient=memory_efficient,
            )
