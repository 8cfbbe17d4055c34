"""Running statistics, in torch's convention: `momentum` is the share of what is new.

    new = (1 - momentum) · old + momentum · observed

The observed variance is the unbiased one, sum((x - mean)²) / (n - 1). With `momentum=None` the k-th batch has
a share of 1/k: the running statistics are the mean of all batches'.
"""

import torch
from torch import Tensor, nn


def update_running_statistics(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    var: Tensor,
    count: int | Tensor,
    momentum: float,
) -> None:
    """Take a batch into the running statistics, in place; one without values changes nothing.

    Args:
        running_mean: (channels,), or None for no statistics.
        running_var: (channels,), likewise.
        mean: (channels,), of the batch.
        var: (channels,), its biased variance.
        count: the values of a channel that they are of.
        momentum: the share of the batch.

    Example:
        >>> running = torch.zeros(1), torch.ones(1)
        >>> update_running_statistics(*running, torch.tensor([3.0]), torch.tensor([4.0]), 2, 0.5)
        >>> [each.item() for each in running]
        [1.5, 4.5]
    """
    if running_mean is None or running_var is None or (isinstance(count, int) and count == 0):
        return
    with torch.no_grad():
        others = (count - 1).clamp(min=1) if isinstance(count, Tensor) else max(1, count - 1)
        for running, observed in ((running_mean, mean), (running_var, var * (count / others))):
            if isinstance(count, Tensor):
                observed = torch.where(count > 0, observed, running)
            if running.dtype == observed.dtype:
                running.lerp_(observed, momentum)
            else:
                running.copy_(torch.lerp(running.to(observed.dtype), observed, momentum))


def values_per_channel(input: Tensor) -> int:
    """Return how many values a channel of (samples, channels, *positions) has.

    Example:
        >>> values_per_channel(torch.ones(2, 3, 4, 5))
        40
    """
    return input.shape[0] * input.shape[2:].numel()


class RunningStatistics(nn.Module):
    """What layers with running statistics ask themselves, as torch.nn's do; a part of theirs."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    momentum: float | None
    track_running_stats: bool

    def _count(self) -> float:
        """Count a batch if they are tracked; return its share in the running statistics."""
        if self.training and self.track_running_stats:
            tracked = self.num_batches_tracked  # once: attributes of a module cost a microsecond
            if tracked is not None:
                tracked.add_(1)
                if self.momentum is None:
                    return 1.0 / float(tracked)
        return 0.0 if self.momentum is None else self.momentum

    def _uses_batch(self) -> bool:
        """Whether the batch's own statistics normalise it: in training, or where there are no others."""
        return self.training or (self.running_mean is None and self.running_var is None)

    def _statistics(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the running statistics that take part: to be updated, or to normalise by."""
        if self.training and not self.track_running_stats:
            return None, None
        return self.running_mean, self.running_var
