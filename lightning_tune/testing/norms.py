"""Every normalisation layer with an input, and its twin in torch.nn: what tests of all of them go through."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lightning_tune import norm


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A layer and what goes in.

    Attributes:
        name: of the layer.
        ours: makes it.
        twin: makes what does the same of torch.nn's layers; takes the same state dict.
        shapes: of its inputs.
    """

    name: str
    ours: Callable[[], nn.Module]
    twin: Callable[[], nn.Module]
    shapes: Sequence[tuple[int, ...]]

    def inputs(self, seed: int = 0, **options: Any) -> list[torch.Tensor]:
        """Return inputs that are drawn from a seed; options are those of `torch.randn`."""
        draws = torch.Generator().manual_seed(seed)
        return [torch.randn(shape, generator=draws, **options) for shape in self.shapes]


class AddThenNorm(nn.Module):
    """The two steps of `AddLayerNorm` and `AddRMSNorm`, with torch.nn's layer; keys as theirs."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = [layer]  # not registered: its parameters are named without a prefix
        for name, parameter in layer.named_parameters():
            self.register_parameter(name, parameter)

    def forward(self, input: torch.Tensor, residual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the norm of the sum, and the sum."""
        total = input + residual
        return self.layer[0](total), total


class NormThenActivation(nn.BatchNorm2d):
    """The two steps of `BatchNormAct2d`."""

    def __init__(self, num_features: int, activation: nn.Module) -> None:
        super().__init__(num_features)
        self.activation = activation

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the activation of the norm."""
        result: torch.Tensor = self.activation(super().forward(input))
        return result


CASES = (
    Case(
        name="LayerNorm", ours=lambda: norm.LayerNorm(24), twin=lambda: nn.LayerNorm(24), shapes=[(5, 3, 24)]
    ),
    Case(name="RMSNorm", ours=lambda: norm.RMSNorm(24), twin=lambda: nn.RMSNorm(24), shapes=[(5, 3, 24)]),
    Case(
        name="GroupNorm",
        ours=lambda: norm.GroupNorm(4, 12),
        twin=lambda: nn.GroupNorm(4, 12),
        shapes=[(6, 12, 5, 4)],
    ),
    Case(
        name="BatchNorm1d",
        ours=lambda: norm.BatchNorm1d(12),
        twin=lambda: nn.BatchNorm1d(12),
        shapes=[(20, 12)],
    ),
    Case(
        name="BatchNorm2d",
        ours=lambda: norm.BatchNorm2d(12),
        twin=lambda: nn.BatchNorm2d(12),
        shapes=[(6, 12, 5, 4)],
    ),
    Case(
        name="BatchNorm3d",
        ours=lambda: norm.BatchNorm3d(4),
        twin=lambda: nn.BatchNorm3d(4),
        shapes=[(3, 4, 5, 4, 3)],
    ),
    Case(
        name="InstanceNorm1d",
        ours=lambda: norm.InstanceNorm1d(4, affine=True),
        twin=lambda: nn.InstanceNorm1d(4, affine=True),
        shapes=[(3, 4, 9)],
    ),
    Case(
        name="InstanceNorm2d",
        ours=lambda: norm.InstanceNorm2d(4, affine=True),
        twin=lambda: nn.InstanceNorm2d(4, affine=True),
        shapes=[(3, 4, 5, 6)],
    ),
    Case(
        name="InstanceNorm3d",
        ours=lambda: norm.InstanceNorm3d(4, affine=True),
        twin=lambda: nn.InstanceNorm3d(4, affine=True),
        shapes=[(3, 4, 5, 4, 3)],
    ),
    Case(
        name="AddLayerNorm",
        ours=lambda: norm.AddLayerNorm(24),
        twin=lambda: AddThenNorm(nn.LayerNorm(24)),
        shapes=[(5, 3, 24)] * 2,
    ),
    Case(
        name="AddRMSNorm",
        ours=lambda: norm.AddRMSNorm(24),
        twin=lambda: AddThenNorm(nn.RMSNorm(24)),
        shapes=[(5, 3, 24)] * 2,
    ),
    *(
        Case(
            name=f"BatchNormAct2d, {name}",
            ours=lambda name=name: norm.BatchNormAct2d(12, activation=name),  # type: ignore[misc]
            twin=lambda activation=activation: NormThenActivation(12, activation()),  # type: ignore[misc]
            shapes=[(6, 12, 5, 4)],
        )
        for name, activation in (("relu", nn.ReLU), ("silu", nn.SiLU), ("gelu", nn.GELU))
    ),
)
"""All layers but those that need several processes, or have no twin in torch.nn (`GhostBatchNorm`)."""


def outputs(result: Any) -> list[torch.Tensor]:
    """Return what a layer gave as a list."""
    return list(result) if isinstance(result, tuple) else [result]
