"""`GhostBatchNorm`: batch norm over small parts of a large batch.

Hoffer, Hubara and Soudry 2017, "Train longer, generalize better", https://arxiv.org/abs/1705.08741 (algorithm
1 there). Large batches generalise worse with batch norm, whose statistics then hardly vary; a ghost batch
keeps the statistics of a small batch where the step is a large one's.
"""

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_tune.errors import ArgumentError
from lightning_tune.norm.batch import BatchNorm
from lightning_tune.norm.channel_functions import batch_norm
from lightning_tune.norm.dispatch import Backend, Path
from lightning_tune.norm.running import values_per_channel


class GhostBatchNorm(BatchNorm, _BatchNorm):
    """Normalise each channel over ghost batches: `ghost_batch_size` samples at a time, in training.

    A smaller rest is a ghost batch of its own; if it has a single value a channel, and so no deviation, it
    joins the one before. The running statistics take in one ghost batch after the other, as in the paper's
    algorithm, and `num_batches_tracked` counts them. Evaluation is that of batch norm, and so is all else:
    arguments, attributes and state dict are `torch.nn.BatchNorm2d`'s, with `backend`.

    Args:
        num_features: the channels of the input, (samples, channels, *positions) of any number of positions.
        eps: as of `BatchNorm1d`, as are the next six.
        momentum: the share of a ghost batch in the running statistics; None is the mean of all.
        affine: whether there is a weight.
        track_running_stats: whether there are running statistics.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias with the weight.
        ghost_batch_size: samples of a ghost batch, at least 1; the paper's are of 128 and more.
        backend: who computes it.

    Raises:
        ArgumentError: a ghost batch size below 1, an unknown backend; in a forward pass, a backend that can't
            be honoured.

    Example:
        >>> layer = GhostBatchNorm(1, ghost_batch_size=2)
        >>> output = layer(torch.tensor([[1.0], [3.0], [20.0], [30.0]]))
        >>> [round(value, 3) for value in output.flatten().tolist()]
        [-1.0, 1.0, -1.0, 1.0]
    """

    ghost_batch_size: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        ghost_batch_size: int,
        backend: Backend = "auto",
    ) -> None:
        if (
            not isinstance(ghost_batch_size, int)
            or isinstance(ghost_batch_size, bool)
            or ghost_batch_size < 1
        ):
            raise ArgumentError(f"`ghost_batch_size` must be at least 1 sample, got {ghost_batch_size!r}.")
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            device,
            dtype,
            bias=bias,
            backend=backend,
        )
        self.ghost_batch_size = ghost_batch_size

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape; update the running statistics in training."""
        self._check_input_dim(input)
        if not self.training:
            return super().forward(input)
        outputs = [self._normalised(ghost) for ghost in self._ghosts(input)]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _ghosts(self, input: Tensor) -> list[Tensor]:
        """Return the ghost batches, views of the input."""
        ghosts = list(input.split(self.ghost_batch_size))  # type: ignore[no-untyped-call]
        if len(ghosts) > 1 and values_per_channel(ghosts[-1]) == 1:
            start = (len(ghosts) - 2) * self.ghost_batch_size
            ghosts[-2:] = [input[start:]]
        return ghosts

    def _normalised(self, ghost: Tensor) -> Tensor:
        share = self._count()
        return batch_norm(
            ghost,
            *self._statistics(),
            self.weight,
            self.bias,
            True,
            share,
            self.eps,
            backend=self.backend,
        )

    def path_of(self, input: Tensor) -> Path:
        """Return who computes this input, and why; of several ghost batches, the first."""
        return super().path_of(self._ghosts(input)[0] if self.training else input)

    def extra_repr(self) -> str:
        """Return `BatchNorm1d`'s, with the size of a ghost batch."""
        return f"{super().extra_repr()}, ghost_batch_size={self.ghost_batch_size}"
