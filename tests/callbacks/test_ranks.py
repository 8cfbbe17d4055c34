"""Rank 0 acts, all ranks have its answer or its error."""

import pickle

import pytest

from lightning_tune.callbacks.ranks import on_rank_zero
from lightning_tune.errors import MissingDependencyError, MonitorError, StoreError, TuneError


class Trainer:
    """One of two ranks; `wire` is what rank 0 sends, as bytes."""

    world_size = 2

    def __init__(self, rank, wire):
        self.is_global_zero = rank == 0
        self.strategy = self
        self.wire = wire

    def broadcast(self, value, source):
        assert source == 0
        if self.is_global_zero:
            self.wire.append(pickle.dumps(value))
        return pickle.loads(self.wire[-1])


def both(action):
    """Return what each rank gets: its answer, or the error it raises."""
    wire, calls, found = [], [], []

    def counted():
        calls.append(1)
        return action()

    for rank in (0, 1):
        try:
            found.append(on_rank_zero(Trainer(rank, wire), counted))
        except Exception as error:
            found.append(error)
    assert len(calls) == 1
    return found


def test_the_answer_is_everybodys():
    assert both(lambda: ("stop", 3)) == [("stop", 3)] * 2
    assert both(lambda: None) == [None, None]


@pytest.mark.parametrize("kind", [StoreError, MonitorError, MissingDependencyError])
def test_an_error_of_ours_has_its_class_and_words_on_every_rank(kind):
    def fail():
        raise kind("the disk is full.")

    first, second = both(fail)
    assert type(first) is type(second) is kind
    assert str(first) == str(second) == "the disk is full."


def test_any_other_error_is_told_in_words():
    class OddError(Exception):  # of a class that the other ranks need not know
        pass

    def fail():
        raise OddError("no")

    first, second = both(fail)
    assert type(first) is OddError
    assert type(second) is TuneError
    assert str(second) == "rank 0 raised OddError: no"


def test_a_run_of_one_process_needs_no_other():
    class Alone:
        world_size = 1

    assert on_rank_zero(Alone(), lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        on_rank_zero(Alone(), lambda: 1 / 0)
