"""`LayerNorm`: torch.nn's, computed by a backend of choice."""

import torch
from torch import Tensor, nn

from lightning_tune.norm.dispatch import Backend, Path, checked, shown
from lightning_tune.norm.row_functions import layer_norm, row_path


class LayerNorm(nn.LayerNorm):
    """Normalise each row by its mean and deviation (Ba et al. 2016, https://arxiv.org/abs/1607.06450).

    Differs from `torch.nn.LayerNorm` in one thing: `backend`, who computes it. Arguments, attributes, state
    dict, output types and errors are torch's, and it is a subclass.

    Args:
        normalized_shape: the last dimensions of the input, which are one row.
        eps: added to the variance.
        elementwise_affine: whether there is a weight for each element of a row, at first 1.
        bias: whether there is a bias, too, at first 0.
        device: of the parameters.
        dtype: of the parameters.
        backend: "auto", "triton", "cpp", "aten" or "reference"; `explain` tells what "auto" takes.

    Raises:
        ArgumentError: another backend; in a forward pass, one that can't be honoured.

    Example:
        >>> LayerNorm(2, eps=0.0)(torch.tensor([[1.0, 3.0], [2.0, 10.0]])).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]
        >>> LayerNorm(2, backend="reference")
        LayerNorm((2,), eps=1e-05, elementwise_affine=True, bias=True, backend='reference')
    """

    backend: Backend = "auto"

    def __init__(
        self,
        normalized_shape: int | list[int] | torch.Size,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        backend: Backend = "auto",
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, bias, device, dtype)
        self.backend = checked(backend)

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape."""
        return layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps, backend=self.backend
        )

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        return row_path(
            "layer_norm", input, None, self.normalized_shape, self.weight, self.bias, self.backend
        )

    def extra_repr(self) -> str:
        """Return torch's, and the backend if it is not the usual one."""
        return shown(super().extra_repr(), self.backend)
