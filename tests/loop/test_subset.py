"""A fraction of a training set: nested in every larger one, and each class in proportion."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Subset, TensorDataset

from lightning_tune.loop.subset import interleave, labels_of, size_of, subset

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(np.array)
FRACTION = st.floats(0.001, 1.0)


@given(LABELS, FRACTION, FRACTION, st.booleans(), st.integers(0, 2**32))
def test_a_smaller_fraction_is_part_of_a_larger_one(labels, one, other, stratified, seed):
    small, large = sorted([one, other])
    known = labels if stratified else None
    first, second = (subset(len(labels), fraction, seed, known) for fraction in (small, large))
    assert set(first) <= set(second)
    assert (len(first), len(second)) == (size_of(len(labels), small), size_of(len(labels), large))
    assert second == sorted(set(second))


@given(LABELS, FRACTION, st.integers(0, 2**32))
def test_each_class_has_its_exact_share_rounded_down_or_up(labels, fraction, seed):
    taken = subset(len(labels), fraction, seed, labels)
    have, whole = Counter(labels[taken].tolist()), Counter(labels.tolist())
    for label, count in whole.items():
        share = len(taken) * count / len(labels)
        assert math.floor(share + 1e-9) <= have[label] <= math.ceil(share - 1e-9)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_the_whole_order_takes_everything(sizes):
    assert Counter(interleave(sizes, sum(sizes))) == Counter(dict(enumerate(sizes)))


def test_the_largest_remainder_alone_would_not_be_nested():
    """The Alabama paradox: of 10 samples the third class has two, of 11 only one."""

    def by_remainder(sizes, count):
        shares = [count * size / sum(sizes) for size in sizes]
        left = count - sum(map(math.floor, shares))
        order = sorted(range(len(sizes)), key=lambda place: math.floor(shares[place]) - shares[place])
        return [math.floor(share) + (place in order[:left]) for place, share in enumerate(shares)]

    sizes = [6, 6, 2]
    assert (by_remainder(sizes, 10)[2], by_remainder(sizes, 11)[2]) == (2, 1)
    counts = [np.bincount(interleave(sizes, count), minlength=3) for count in range(1, 15)]
    assert all((after >= before).all() for before, after in zip(counts, counts[1:], strict=False))


def test_the_order_is_the_seeds_alone():
    labels = np.arange(100) % 10
    assert subset(100, 0.3, 1, labels) == subset(100, 0.3, 1, labels) != subset(100, 0.3, 2, labels)
    assert subset(100, 0.3, 1) != subset(100, 0.3, 2)
    assert subset(100, 1.0, 1, labels) == list(range(100))


class Images:
    """Torchvision's convention."""

    def __init__(self, targets):
        self.targets = targets

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return index


@pytest.mark.parametrize(
    "targets",
    [[0, 1, 2, 0, 1, 2], (0, 1, 2, 0, 1, 2), np.array([0, 1, 2] * 2), torch.tensor([0, 1, 2] * 2)],
    ids=["list", "tuple", "array", "tensor"],
)
def test_targets_are_found_in_every_form_and_through_subsets(targets):
    assert labels_of(Images(targets)).tolist() == [0, 1, 2, 0, 1, 2]
    nested = Subset(Subset(Images(targets), [5, 4, 3, 0]), [0, 3])
    assert labels_of(nested).tolist() == [2, 0]


def test_names_are_labels_too():
    assert subset(4, 0.5, 0, np.array(["cat", "dog", "cat", "dog"])) in ([0, 1], [0, 3], [1, 2], [2, 3])


@pytest.mark.parametrize(
    "targets",
    [None, [[0, 1]] * 6, [0, 1], torch.zeros(6, 4), [[0], [1, 2], [], [], [], []], [{"boxes": 1}] * 6],
    ids=["none", "several", "too few", "masks", "ragged", "dictionaries"],
)
def test_what_is_no_label_a_sample_is_passed_over(targets):
    assert labels_of(Images(targets)) is None
    assert labels_of(TensorDataset(torch.zeros(6))) is None
