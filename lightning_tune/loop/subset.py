"""Which samples make up a fraction of a training set: nested, and with each class in proportion.

One order of all samples is fixed by the sweep's seed; a fraction is a beginning of it, so that a smaller one
is part of a larger one. Where there are labels, every beginning holds of each class the whole part of its
exact share or one more, as the method of the largest remainder does. That method itself is not nested (one
more sample in all may take one from a class, the Alabama paradox), so the order is made sample by sample:
the j-th of a class may come once its share exceeds j - 1, must have come once its share is j, and the most
urgent is next (Balinski & Young, *The Quota Method of Apportionment*, American Mathematical Monthly 82,
1975).
"""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lightning_tune.core.rng import generator

Labels = npt.NDArray[np.generic]


def size_of(total: int, fraction: float) -> int:
    """Return how many of `total` samples a fraction is: the nearest number.

    Example:
        >>> size_of(50_000, 1 / 3), size_of(5, 0.5), size_of(100, 0.004)
        (16667, 3, 0)
    """
    return int(total * fraction + 0.5)


def subset(total: int, fraction: float, seed: int, labels: Labels | None = None) -> list[int]:
    """Return the indices of a fraction of `total` samples, rising.

    Args:
        total: how many samples there are.
        fraction: how much of them, in (0, 1].
        seed: the sweep's seed.
        labels: the class of each sample, shape (total,); None where there are none.
    """
    count = size_of(total, fraction)
    randomness = generator(seed, "data")
    shuffled = randomness.permutation(total)
    if labels is None:
        return sorted(shuffled[:count].tolist())
    _, numbers, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    by_class = np.split(shuffled[np.argsort(numbers, kind="stable")], np.cumsum(counts)[:-1])
    classes = [by_class[number] for number in randomness.permutation(len(by_class))]
    taken = np.bincount(interleave([len(each) for each in classes], count), minlength=len(classes))
    return sorted(np.concatenate([each[:n] for each, n in zip(classes, taken, strict=True)]).tolist())


def interleave(sizes: Sequence[int], count: int) -> list[int]:
    """Return the classes of the first `count` samples in the order that keeps every beginning in proportion.

    Args:
        sizes: how many samples each class has, at least 1.
        count: how many to take, at most all.

    Example:
        >>> interleave([6, 3, 1], 10)
        [0, 0, 1, 0, 1, 0, 0, 1, 0, 2]
    """
    total = sum(sizes)
    given = [0] * len(sizes)
    early = [
        (0, number) for number in range(len(sizes))
    ]  # (place from which the class's next may come, class)
    ready: list[tuple[int, int]] = []  # (place before which it must have come, class)
    order = []
    for place in range(count):
        while early and early[0][0] <= place:
            _, number = heapq.heappop(early)
            heapq.heappush(ready, (-(-(given[number] + 1) * total // sizes[number]), number))
        _, number = heapq.heappop(ready)
        order.append(number)
        given[number] += 1
        if given[number] < sizes[number]:
            heapq.heappush(early, (given[number] * total // sizes[number], number))
    return order


def labels_of(dataset: Any) -> Labels | None:
    """Return the class labels of a data set with `targets` (torchvision's word), through `Subset` too.

    None where there are none, or where they are not one label a sample.
    """
    inner, indices = getattr(dataset, "dataset", None), getattr(dataset, "indices", None)
    if inner is not None and indices is not None and not hasattr(dataset, "targets"):
        labels = labels_of(inner)
        return None if labels is None else labels[np.asarray(indices, dtype=np.int64)]
    targets = getattr(dataset, "targets", None)
    if targets is None:
        return None
    try:
        labels = np.asarray(targets.cpu() if hasattr(targets, "cpu") else targets)
    except (TypeError, ValueError):  # ragged, or nothing that an array can hold
        return None
    one_each = labels.shape == (len(dataset),) and len(dataset) > 0
    return labels if one_each and labels.dtype.kind in "biufUS" else None
