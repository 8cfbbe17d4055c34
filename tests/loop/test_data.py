import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from lightning_tune.loop.data import Loaders


def loader(generator):
    return DataLoader(TensorDataset(torch.arange(8)), batch_size=8, shuffle=True, generator=generator)


def order(loader):
    return next(iter(loader))[0].tolist()


def test_generators_of_loaders_are_put_back_wherever_they_are():
    first, second = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    sampled = DataLoader(
        TensorDataset(torch.arange(8)), batch_size=8, sampler=RandomSampler(range(8), generator=second)
    )
    train = {"a": loader(first), "b": [sampled]}
    loaders = Loaders(train, None, None)
    before = order(train["a"]), order(sampled)
    assert (order(train["a"]), order(sampled)) != before
    loaders.reset()
    assert (order(train["a"]), order(sampled)) == before


def test_a_datamodules_own_generator_is_put_back():
    class Data:
        def __init__(self):
            self.generator = torch.Generator().manual_seed(3)

        def train_dataloader(self):
            return loader(self.generator)

    data = Data()
    loaders = Loaders(None, None, data)
    before = order(data.train_dataloader())
    assert order(data.train_dataloader()) != before
    loaders.reset()
    assert order(data.train_dataloader()) == before


def test_nothing_to_put_back_is_fine():
    Loaders(None, None, None).reset()


def test_a_generator_that_appears_later_does_not_shift_the_others():
    class Data:
        def __init__(self):
            self.generator = torch.Generator().manual_seed(3)
            self.loaders = {"a": loader(torch.Generator().manual_seed(4))}
            self.both = CombinedLoader([loader(torch.Generator().manual_seed(5))])

        def train_dataloader(self):
            return loader(self.generator)

    data = Data()
    loaders = Loaders(None, None, data)

    def orders():
        return order(data.train_dataloader()), order(data.loaders["a"]), order(data.both.flattened[0])

    before = orders()
    data.eval_generator = torch.Generator().manual_seed(9)  # sorts before the others
    loaders.reset()
    assert orders() == before
