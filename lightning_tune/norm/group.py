"""`GroupNorm`: torch.nn's, computed by a backend of choice."""

import torch
from torch import Tensor, nn

from lightning_tune.norm import coverage
from lightning_tune.norm.dispatch import Backend, Path, checked, choose, shown
from lightning_tune.norm.instance_functions import group_norm


class GroupNorm(nn.GroupNorm):
    """Normalise each group of channels of a sample (Wu and He 2018, https://arxiv.org/abs/1803.08494).

    Differs from `torch.nn.GroupNorm` in one thing: `backend`, who computes it. Arguments, attributes, state
    dict, output types and errors are torch's, and it is a subclass.

    Args:
        num_groups: a divisor of the channels.
        num_channels: of the input, its dimension 1.
        eps: added to the variance.
        affine: whether there is a weight for each channel, at first 1.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight, at first 0.
        backend: "auto", "triton", "aten" or "reference"; `explain` tells what "auto" takes.

    Raises:
        ArgumentError: another backend; in a forward pass, one that can't be honoured.

    Example:
        >>> GroupNorm(2, 4, eps=0.0, backend="reference")(torch.tensor([[1.0, 3.0, 2.0, 10.0]])).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]
    """

    backend: Backend = "auto"

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        backend: Backend = "auto",
    ) -> None:
        options = {} if bias else {"bias": False}  # older versions of torch know none
        super().__init__(num_groups, num_channels, eps, affine, device, dtype, **options)
        self.backend = checked(backend)

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps, backend=self.backend)

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        obstacle = coverage.groups(input, self.num_groups, self.weight, self.bias)
        return choose("group_norm", input, self.backend, obstacle)

    def extra_repr(self) -> str:
        """Return torch's, and the backend if it is not the usual one."""
        return shown(super().extra_repr(), self.backend)
