"""Loaders over a part of their data: what they keep, what is refused, and that nothing sticks."""

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from lightning_tune.errors import ArgumentError
from lightning_tune.loop.portion import Portion, note_on
from lightning_tune.loop.subset import subset
from lightning_tune.testing.models import tiny_data

HALF = Portion(fraction=0.5, seed=3)


class Labelled(TensorDataset):
    def __init__(self, count=40):
        super().__init__(torch.arange(count))
        self.targets = torch.arange(count) % 4


class Own(DataLoader):
    """A subclass that passes everything on."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


def own_collate(batch):
    return torch.stack([item[0] for item in batch])


def seen(loader):
    return sorted(torch.cat([batch[0].reshape(-1) for batch in loader]).tolist())


def test_the_loader_keeps_all_but_its_data():
    generator = torch.Generator()
    loader = Own(
        Labelled(),
        batch_size=8,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        collate_fn=own_collate,
        generator=generator,
        prefetch_factor=3,
        persistent_workers=True,
        timeout=5,
        worker_init_fn=print,
        in_order=False,
    )
    half = HALF.of(loader)
    names = (
        "batch_size", "drop_last", "num_workers", "collate_fn", "generator", "prefetch_factor",
        "persistent_workers", "timeout", "worker_init_fn", "in_order", "pin_memory",
    )  # fmt: skip
    assert [getattr(half, name) for name in names] == [getattr(loader, name) for name in names]
    assert type(half) is Own
    assert type(half.sampler) is RandomSampler
    assert half.sampler.generator is generator
    assert half.dataset.indices == subset(40, 0.5, 3, loader.dataset.targets.numpy())


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 8},
        {"batch_size": 8, "shuffle": True},
        {"batch_size": None},
        {"batch_sampler": BatchSampler(RandomSampler(Labelled()), 8, False)},
        {"batch_sampler": BatchSampler(SequentialSampler(Labelled()), 8, True)},
    ],
)
def test_every_pass_sees_the_part_once(arguments):
    data = Labelled()
    expected = subset(40, 0.5, 3, data.targets.numpy())
    got = seen(HALF.of(DataLoader(data, **arguments)))
    dropped = len(expected) % 8 if getattr(arguments.get("batch_sampler"), "drop_last", False) else 0
    assert len(got) == len(expected) - dropped
    assert set(got) <= set(expected)


def test_samplers_draw_in_proportion():
    data = Labelled()
    drawing = HALF.of(DataLoader(data, sampler=RandomSampler(data, replacement=True, num_samples=100)))
    assert (len(drawing.sampler), drawing.sampler.replacement) == (50, True)
    weights = torch.arange(40.0)
    weighted = HALF.of(DataLoader(data, sampler=WeightedRandomSampler(weights, 40)))
    assert weighted.sampler.weights.tolist() == weights[weighted.dataset.indices].tolist()
    assert len(weighted.sampler) == 20


def test_nests_of_loaders_are_cut_one_by_one_and_the_whole_is_left_alone():
    loaders = {"a": DataLoader(Labelled(40)), "b": [DataLoader(Labelled(20))]}
    half = HALF.of(loaders)
    assert (len(half["a"]), len(half["b"][0])) == (20, 10)
    combined = CombinedLoader(loaders, "min_size")
    cut = HALF.of(combined)
    assert [len(loader) for loader in cut.flattened] == [20, 10]
    assert [len(loader) for loader in combined.flattened] == [40, 20]
    assert Portion(fraction=1.0, seed=0).of(loaders) is loaders
    assert HALF.of(None) is None


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(8))


class Endless(torch.utils.data.Dataset):
    def __getitem__(self, index):
        return index


class OwnSampler(Sampler):
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        return iter(range(len(self.data)))

    def __len__(self):
        return len(self.data)


class Strict(DataLoader):
    def __init__(self, data):
        super().__init__(data, batch_size=4)


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (lambda: DataLoader(Stream()), "but Stream is an IterableDataset, of which no part can be taken"),
        (lambda: DataLoader(Endless(), sampler=SequentialSampler(range(3))), "but Endless has no `__len__`"),
        (lambda: torch.zeros(3), "must come in a DataLoader .*, got Tensor"),
        (
            lambda: DataLoader(Labelled(), sampler=OwnSampler(Labelled())),
            "the sampler OwnSampler of its loader",
        ),
        (
            lambda: DataLoader(Labelled(), sampler=SubsetRandomSampler([1, 2])),
            "the sampler SubsetRandomSampler",
        ),
        (lambda: DataLoader(Labelled(), batch_sampler=[[0, 1]]), "sampler NoneType|batch sampler list"),
        (lambda: Strict(Labelled()), "Strict cannot be made again with the arguments of a DataLoader"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_name(loader, message):
    with pytest.raises(ArgumentError, match=message):
        HALF.of(loader())


@pytest.mark.parametrize(
    ("fraction", "arguments", "message"),
    [
        (0.01, {}, "a fraction of 0.01 of 40 samples leaves no sample: raise the schedule's `min_budget`"),
        (0.1, {"batch_size": 8, "drop_last": True}, r"leaves no batch of 8 \(`drop_last=True`\)"),
        (0.1, {"batch_sampler": BatchSampler(range(40), 8, True)}, r"leaves no batch of 8"),
    ],
)
def test_a_fraction_that_leaves_nothing_is_named(fraction, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Portion(fraction=fraction, seed=0).of(DataLoader(Labelled(), **arguments))


def test_a_data_set_without_targets_gets_one_note():
    plain = DataLoader(TensorDataset(torch.arange(40)))
    assert len(note_on({"a": plain, "b": plain})) == 1
    assert note_on(plain)[0].startswith(
        "the training set has no `targets` (TensorDataset): a fraction of it is"
    )
    assert note_on(DataLoader(Labelled())) == note_on(None) == []
    with pytest.warns(UserWarning, match="the training set has no `targets`"):
        Portion(fraction=0.5, seed=0, tells=True).of(plain)


def test_a_hook_returns_the_part_meanwhile_and_lightning_still_takes_it_for_the_users():
    from lightning.pytorch.utilities.model_helpers import is_overridden

    data = tiny_data(pl)(8)
    with HALF.within(data):
        assert len(data.train_dataloader().dataset) == 32
        assert is_overridden("train_dataloader", data)
    assert len(data.train_dataloader().dataset) == 64
    assert "train_dataloader" not in vars(data)
    with Portion(fraction=1.0, seed=0).within(data):
        assert "train_dataloader" not in vars(data)
