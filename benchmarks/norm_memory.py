"""Peak memory of a step, and of a short network of norms, ours or torch.nn's, from the allocator's events.

A layer by itself shows half of it: what a norm keeps, its neighbour may keep, too. So three norms are stacked
with a layer between them that keeps its input, as a linear layer does, but has no weights whose gradients
would hide what is measured. `torch.profiler` records each allocation and release of the CPU allocator, those
inside of operators, too; the peak is the largest sum of them, counted from the start of the step.
"""

from collections.abc import Callable
from typing import Any

import torch
from norm_cases import Case
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

BLOCKS = 3


class Stack(nn.Module):
    """Norms, each followed by a layer that keeps its input; a second input is the residual stream."""

    def __init__(self, norms: list[nn.Module]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norms)

    def forward(self, hidden: Tensor, stream: Tensor | None) -> Tensor:
        """Return what the last layer gives."""
        for layer in self.norms:
            if stream is None:
                hidden = layer(hidden)
            else:
                hidden, stream = layer(hidden, stream)
            hidden = functional.leaky_relu(hidden, 0.5)  # its backward pass needs its input
        return hidden


def peak_of_step(case: Case, *, ours: bool) -> int:
    """Return the peak of a forward and backward pass of a layer by itself, its inputs not counted."""
    return _peak(case.step(case.ours() if ours else case.theirs(), case.tensors()))


def peak_of_stack(case: Case, *, ours: bool) -> int:
    """Return the peak of one step of a stack."""
    make = case.ours if ours else case.theirs
    stack = Stack([make() for _ in range(BLOCKS)]).to(case.dtype).train()
    generator = torch.Generator().manual_seed(0)
    hidden, stream = (torch.randn(case.shape, generator=generator).to(case.dtype) for _ in range(2))
    hidden.requires_grad_()

    def step() -> None:
        output = stack(hidden * 1, stream * 1 if case.inputs == 2 else None)
        torch.autograd.grad(output, [hidden, *stack.parameters()], torch.ones_like(output))

    return _peak(step)


def _peak(step: Callable[[], Any]) -> int:
    step()  # what is allocated once and kept is not counted
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    results: Any = recorded.profiler
    events = [one for one in results.kineto_results.events() if one.name() == "[memory]"]
    total = peak = 0
    for event in sorted(events, key=lambda one: one.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return int(peak)
