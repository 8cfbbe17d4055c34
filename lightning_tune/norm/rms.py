"""`RMSNorm`: torch.nn's, computed by a backend of choice."""

import torch
from torch import Tensor, nn

from lightning_tune.norm.dispatch import Backend, Path, checked, shown
from lightning_tune.norm.row_functions import rms_norm, row_path


class RMSNorm(nn.RMSNorm):
    """Divide each row by its root mean square (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467).

    Differs from `torch.nn.RMSNorm` in one thing: `backend`, who computes it. Arguments, attributes, state
    dict, output types and errors are torch's, and it is a subclass.

    Args:
        normalized_shape: the last dimensions of the input, which are one row.
        eps: added to the mean square; None is the machine epsilon of the type that is computed in (2^-23 for
            bfloat16 and float16, too).
        elementwise_affine: whether there is a weight for each element of a row, at first 1.
        device: of the parameters.
        dtype: of the parameters.
        backend: "auto", "triton", "cpp", "aten" or "reference"; `explain` tells what "auto" takes.

    Raises:
        ArgumentError: another backend; in a forward pass, one that can't be honoured.

    Example:
        >>> [round(value, 4) for value in RMSNorm(2)(torch.tensor([1.0, 7.0])).tolist()]
        [0.2, 1.4]
    """

    backend: Backend = "auto"

    def __init__(
        self,
        normalized_shape: int | list[int] | torch.Size,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        backend: Backend = "auto",
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, device, dtype)
        self.backend = checked(backend)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input, in its shape."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps, backend=self.backend)

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why."""
        return row_path("rms_norm", input, None, self.normalized_shape, self.weight, None, self.backend)

    def extra_repr(self) -> str:
        """Return torch's, and the backend if it is not the usual one."""
        return shown(super().extra_repr(), self.backend)
