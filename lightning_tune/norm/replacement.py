"""What `replace_norms` did to a model, layer by layer: what is new, what is lost, what was left and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn.utils import parametrize

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Swap:
    """One layer that was swapped.

    Attributes:
        names: where it is in the model; several of a layer that is used at several places.
        before: what was there, e.g. "BatchNorm2d".
        after: what is there now, as it prints itself.
        parameters: "kept" where it is of the same kind, "new" where it is not.
        lost: what the old layer had and the new one has not: "trained values", "gradients", "hooks",
            "parametrizations".
    """

    names: tuple[str, ...]
    before: str
    after: str
    parameters: Literal["kept", "new"]
    lost: tuple[str, ...] = ()

    def __str__(self) -> str:
        lost = f", lost: {', '.join(self.lost)}" if self.lost else ""
        return f"{' = '.join(self.names)}: {self.before} -> {self.after}, {self.parameters} parameters{lost}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """One norm layer that was left as it is.

    Attributes:
        names: where it is in the model.
        layer: its class.
        reason: why it was left.
    """

    names: tuple[str, ...]
    layer: str
    reason: str

    def __str__(self) -> str:
        return f"{' = '.join(self.names)}: {self.layer} left, {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement:
    """What `replace_norms` did. It prints as one line a layer.

    Attributes:
        swaps: the layers that were swapped, in the model's order.
        left: the layers that are norms, were asked for and could not be swapped.
    """

    swaps: tuple[Swap, ...]
    left: tuple[Left, ...]

    def __str__(self) -> str:
        return "\n".join(str(entry) for entry in (*self.swaps, *self.left)) or "no norm layer to swap"


def lost_with(old: nn.Module) -> tuple[str, ...]:
    """Return what is lost with a layer when another kind comes in its place; nothing of a fresh one."""
    lost = {
        "trained values": not all(_is_initial(name, tensor) for name, tensor in _tensors(old)),
        "gradients": any(parameter.grad is not None for parameter in old.parameters()),
        "hooks": any(getattr(old, hooks) for hooks in _HOOKS),
        "parametrizations": parametrize.is_parametrized(old),
    }
    return tuple(name for name, so in lost.items() if so)


def _tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _is_initial(name: str, tensor: torch.Tensor) -> bool:
    """Whether a parameter or statistic is what a new layer begins with."""
    return tensor.is_meta or bool((tensor == (1 if name in ("weight", "running_var") else 0)).all())
