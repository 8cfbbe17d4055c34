"""A fraction of the training data: loaders made again over a part of their data set.

The loader keeps everything else: batch size, kind of sampler, workers, generators.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    WeightedRandomSampler,
)

from lightning_tune.errors import ArgumentError
from lightning_tune.loop.subset import labels_of, size_of, subset

_KEPT = (
    "num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context",
    "generator", "prefetch_factor", "persistent_workers", "in_order",
)  # fmt: skip
_FEW = "Each rung of `budget='data'` trains on a part of the training set"


@dataclass(frozen=True, kw_only=True)
class Portion:
    """Cuts training loaders down to a fraction of their data, the same samples for every trial.

    Attributes:
        fraction: how much of the training set, in (0, 1]; 1 leaves the loaders as they are.
        seed: the sweep's seed, which fixes the order of the samples.
        tells: whether to warn of a data set without `targets`.
    """

    fraction: float
    seed: int
    tells: bool = False

    def of(self, loaders: Any) -> Any:
        """Return a loader, or a nest of loaders, over the fraction.

        Raises:
            ArgumentError: a loader that cannot be made again over a part of its data, or a fraction that
                leaves nothing to train on.
        """
        if self.fraction >= 1.0 or loaders is None:
            return loaders
        if isinstance(loaders, Mapping):
            return {name: self.of(loader) for name, loader in loaders.items()}
        if isinstance(loaders, list | tuple):
            return [self.of(loader) for loader in loaders]
        if hasattr(loaders, "flattened"):  # a CombinedLoader
            combined = copy.copy(loaders)
            combined.flattened = [self.of(loader) for loader in loaders.flattened]
            return combined
        return self._cut(loaders)

    @contextmanager
    def within(self, owner: Any) -> Iterator[None]:
        """Let the `train_dataloader` hook of a module or datamodule return the fraction meanwhile."""
        if self.fraction >= 1.0 or not hasattr(owner, "train_dataloader"):
            yield
            return
        had = vars(owner).get("train_dataloader")
        vars(owner)["train_dataloader"] = self._wrapped(owner.train_dataloader)
        try:
            yield
        finally:
            del vars(owner)["train_dataloader"]
            if had is not None:
                vars(owner)["train_dataloader"] = had

    def _wrapped(self, hook: Callable[[], Any]) -> Callable[[], Any]:
        @wraps(hook)  # Lightning looks through it to see whether the hook is the user's own
        def train_dataloader() -> Any:
            return self.of(hook())

        return train_dataloader

    def _cut(self, loader: Any) -> Any:
        dataset = _dataset_of(loader)
        labels = labels_of(dataset)
        if labels is None and self.tells:
            warnings.warn(no_targets(dataset), stacklevel=2)
        part = Subset(dataset, subset(len(dataset), self.fraction, self.seed, labels))
        self._check_enough(loader, len(part))
        given = {name: getattr(loader, name) for name in _KEPT}
        sampler = self._sampler(loader, part)
        if loader.batch_size is not None:
            batches: dict[str, Any] = {
                "batch_size": loader.batch_size,
                "drop_last": loader.drop_last,
                "sampler": sampler,
            }
        elif loader.batch_sampler is not None:
            batches = {"batch_sampler": _batch_sampler(loader.batch_sampler, sampler)}
        else:
            batches = {"batch_size": None, "sampler": sampler}
        try:
            return type(loader)(part, **given, **batches)
        except TypeError as error:
            raise ArgumentError(
                f"{_FEW}, but {type(loader).__name__} cannot be made again with the arguments of a "
                f"DataLoader: {error}. Let its `__init__` take `**kwargs`, or use a DataLoader."
            ) from error

    def _check_enough(self, loader: Any, size: int) -> None:
        """Refuse a part that holds no sample, or no batch where short ones are dropped."""
        batch = loader.batch_size or getattr(loader.batch_sampler, "batch_size", 1)
        drops = loader.drop_last or getattr(loader.batch_sampler, "drop_last", False)
        if size >= (batch if drops else 1):
            return
        what = f"no batch of {batch} (`drop_last=True`)" if size else "no sample"
        raise ArgumentError(
            f"{_FEW}, and a fraction of {self.fraction:g} of {len(loader.dataset)} samples leaves {what}: "
            "raise the schedule's `min_budget`."
        )

    def _sampler(self, loader: Any, part: Any) -> Any:
        """Make the loader's sampler again over a part of its data."""
        sampler, total = loader.sampler, len(loader.dataset)
        kind = type(sampler)
        if kind is BatchSampler or (loader.batch_size is None and loader.batch_sampler is not None):
            sampler = getattr(loader.batch_sampler, "sampler", None)
            kind = type(sampler)
        if kind is SequentialSampler:
            return SequentialSampler(part)
        if kind is RandomSampler and len(sampler.data_source) == total:
            drawn = None if len(sampler) == total else max(1, size_of(len(sampler), self.fraction))
            return RandomSampler(part, sampler.replacement, drawn, sampler.generator)
        if kind is WeightedRandomSampler and len(sampler.weights) == total:
            drawn = max(1, size_of(len(sampler), self.fraction))
            weights = sampler.weights[part.indices]
            return WeightedRandomSampler(weights, drawn, sampler.replacement, sampler.generator)
        raise ArgumentError(
            f"{_FEW}, but the sampler {kind.__name__} of its loader cannot be made again over a part. Use "
            "`shuffle=True`, a RandomSampler, a SequentialSampler or a WeightedRandomSampler."
        )


def no_targets(dataset: Any) -> str:
    """Return the note on a data set whose classes are not known."""
    return (
        f"the training set has no `targets` ({type(dataset).__name__}): a fraction of it is drawn at random, "
        "and its classes may be out of proportion in a small one. Give the data set a `targets` with a label "
        "a sample to have them in proportion."
    )


def note_on(loaders: Any) -> list[str]:
    """Check loaders before anything trains; return what a user should know of their data sets.

    Raises:
        ArgumentError: a loader that cannot be made again over a part of its data.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Portion(fraction=1 - 1e-9, seed=0, tells=True).of(loaders)
    return list(dict.fromkeys(str(each.message) for each in caught))


def _dataset_of(loader: Any) -> Any:
    """Return a loader's data set, if a part of it can be taken."""
    if not isinstance(loader, DataLoader):
        raise ArgumentError(
            f"{_FEW}: the training data must come in a DataLoader (or several), got {type(loader).__name__}."
        )
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset):
        raise ArgumentError(
            f"{_FEW}, but {type(dataset).__name__} is an IterableDataset, of which no part can be taken. Use "
            "a data set with `__len__` and `__getitem__`, or budget='epochs'."
        )
    if not hasattr(dataset, "__len__"):
        raise ArgumentError(f"{_FEW}, but {type(dataset).__name__} has no `__len__`.")
    return dataset


def _batch_sampler(batches: Any, sampler: Any) -> Any:
    if type(batches) is not BatchSampler:
        raise ArgumentError(
            f"{_FEW}, but the batch sampler {type(batches).__name__} of its loader cannot be made again over "
            "a part. Use `batch_size=` or torch's own BatchSampler."
        )
    return BatchSampler(sampler, batches.batch_size, batches.drop_last)
