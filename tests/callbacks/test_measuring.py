"""Steps, and which validations can meet a rung; the rest is tried in real Trainers by test_halving."""

from types import SimpleNamespace

import pytest
import torch

from lightning_tune.callbacks.measuring import (
    Watch,
    check_validations,
    ended_by,
    epochs_within,
    numbers,
    validates,
)
from lightning_tune.errors import ArgumentError


def trainer(epoch=0, ready=0, batches=4.0, last=False, **attributes):
    progress = SimpleNamespace(is_last_batch=last, current=SimpleNamespace(ready=ready))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    return SimpleNamespace(current_epoch=epoch, num_training_batches=batches, fit_loop=loop, **attributes)


@pytest.mark.parametrize(
    ("state", "epochs"),
    [
        ({"epoch": 2, "ready": 4, "last": True}, 3.0),
        ({"epoch": 2, "ready": 1}, 2.25),
        ({"epoch": 0, "ready": 3, "batches": float("inf")}, 0.75),
        ({"epoch": 5, "ready": 9, "batches": float("inf"), "last": True}, 6.0),
    ],
)
def test_a_validation_within_an_epoch_has_a_fraction(state, epochs):
    assert epochs_within(trainer(**state)) == epochs


def test_only_single_numbers_count_and_none_of_ours():
    metrics = {"a": torch.tensor(1.5), "b": torch.tensor([2.0]), "c": torch.ones(2), "tune/rung": 1.0, "d": 3}
    assert numbers(metrics) == {"a": 1.5, "b": 2.0, "d": 3.0}


@pytest.mark.parametrize("every", [1, 2, 5, 8, 9, 10, 26])
def test_validations_that_meet_a_rung_are_let_through(every):
    check_validations(trainer(check_val_every_n_epoch=every), "val_loss", (1, 3, 9), 27)


@pytest.mark.parametrize(
    ("every", "rungs", "last"), [(27, (1, 3, 9), 27), (40, (1, 3), 9), (5, (6,), 10), (3, (2,), 3)]
)
def test_validations_that_come_too_late_are_refused(every, rungs, last):
    """By brute force: none of the validations before the last epoch is at or past the first rung."""
    assert not [epoch for epoch in range(every, last, every) if epoch >= rungs[0]]
    with pytest.raises(ArgumentError, match=f"`check_val_every_n_epoch={every}` never meets a rung"):
        check_validations(trainer(check_val_every_n_epoch=every), "val_loss", rungs, last)


def test_where_epochs_do_not_count_validations_or_there_is_no_rung_nothing_is_refused():
    check_validations(trainer(check_val_every_n_epoch=None), "val_loss", (1, 3), 9)
    check_validations(trainer(check_val_every_n_epoch=99), "val_loss", (), 9)


@pytest.mark.parametrize(
    ("enabled", "batches", "expected"),
    [
        (True, [], True),
        (True, [3, 0], True),
        (True, 2, True),
        (True, [0], False),
        (True, 0, False),
        (False, [3], False),
    ],
)
def test_whether_a_validation_is_to_come(enabled, batches, expected):
    assert validates(trainer(enable_validation=enabled, num_val_batches=batches)) is expected


def test_a_monitor_is_read_where_it_was_found():
    watch = Watch("val_loss")
    assert all(watch.may_read(source) for source in ("validation", "train_epoch", "next_epoch"))
    watch.source = "train_epoch"
    assert [watch.may_read(source) for source in ("validation", "train_epoch")] == [False, True]


def test_who_ended_training():
    stopped = SimpleNamespace(stopped_epoch=4)
    assert ended_by(trainer(callbacks=[object(), stopped]), 5.0) == "SimpleNamespace"
    assert ended_by(trainer(callbacks=[object(), stopped]), 6.0) == "its Trainer"
    assert ended_by(trainer(callbacks=[SimpleNamespace(stopped_epoch=0)]), 1.0) == "its Trainer"
