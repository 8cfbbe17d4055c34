"""Loaders and datamodules that were handed over as instances.

Each trial finds their generators as the first one did.
"""

from collections.abc import Iterator
from typing import Any

import torch

_HOLDERS = (torch.Generator, torch.utils.data.DataLoader, torch.utils.data.Sampler)
_FEW = 100
"""A collection of more things than this is data, not loaders."""


class Loaders:
    """The loaders given to `fit`, with the states their random generators had then.

    Without this the second trial would see another order of the data than when it is run alone.
    """

    def __init__(self, train: Any, validation: Any, datamodule: Any) -> None:
        self.train = train
        self.validation = validation
        self._saved = [
            (generator, generator.get_state()) for generator in _generators(train, validation, datamodule)
        ]

    def reset(self) -> None:
        """Put the generators back to where they were when `fit` was called."""
        for generator, state in self._saved:
            generator.set_state(state)


def _generators(*owners: Any) -> Iterator[torch.Generator]:
    """Yield the generators of loaders (nested ones too), of their samplers, and of a datamodule."""
    seen: set[int] = set()
    for owner in owners:
        for thing in _reachable(owner):
            if isinstance(thing, torch.Generator) and id(thing) not in seen:
                seen.add(id(thing))
                yield thing


def _reachable(thing: Any) -> Iterator[Any]:
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, list | tuple):
        for item in thing:
            yield from _reachable(item)
    elif isinstance(thing, torch.Generator):
        yield thing
    elif hasattr(thing, "flattened"):  # a CombinedLoader
        yield from _reachable(list(thing.flattened))
    elif isinstance(thing, torch.utils.data.DataLoader):
        for name in ("generator", "sampler", "batch_sampler", "dataset"):
            yield from _reachable(getattr(thing, name, None))
    elif isinstance(thing, torch.utils.data.Sampler | torch.utils.data.Dataset) or hasattr(
        thing, "train_dataloader"
    ):
        for name in sorted(vars(thing)):
            value = vars(thing)[name]
            few = isinstance(value, dict | list | tuple) and len(value) <= _FEW
            if few or isinstance(value, _HOLDERS) or hasattr(value, "flattened"):
                yield from _reachable(value)
