"""A callback's run in a shared sweep, with Trainers that are stood in for."""

import math
from types import SimpleNamespace

import lightning.pytorch  # noqa: F401  which says of which rank this is
import pytest

from lightning_tune.callbacks.member import Member, check_meeting, ending
from lightning_tune.core.events import TrialEnded, TrialPaused, TrialStarted
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError, StoreError
from lightning_tune.schedule import ASHA
from lightning_tune.schedule.full import FullBudget
from lightning_tune.store import open_store

LOSS = Objective.of("val_loss")


def trainer(ckpt_path=None, epoch=0):
    return SimpleNamespace(
        world_size=1, ckpt_path=ckpt_path, datamodule=None, current_epoch=epoch, callbacks=[]
    )


@pytest.fixture
def place(tmp_path):
    return tmp_path / "sweep.db"


def joined(place, known=None, ckpt_path=None):
    """Join as a process of its own would, with what its checkpoint knows."""
    member = Member("s", place, LOSS)
    member.renew(trainer(), "fit")
    if known:
        member.load(known)
    module = SimpleNamespace(hparams={"lr": 0.1})
    return member, member.join(trainer(ckpt_path), module, ASHA(max_budget=9, stopping=True), 9.0)


def events(place, *kinds):
    with open_store(place) as store:
        return [event for event in store.read("s") if isinstance(event, kinds)]


def test_a_run_is_a_trial_with_its_configuration(place):
    member, entry = joined(place)
    assert (entry.trial, entry.resumed, member.number, member.name) == (0, False, 0, "trial 0 of sweep 's'")
    (started,) = events(place, TrialStarted)
    assert started.config == {"lr": 0.1}
    member.end(trainer(), 9.0, None, "trained 9 epochs")
    member.close()
    assert member.run is None
    (ended,) = events(place, TrialEnded)
    assert (ended.state, ended.step, ended.reason) == ("completed", 9.0, "trained 9 epochs")


def test_a_checkpoint_brings_its_trial_back_and_one_of_another_sweep_does_not(place, tmp_path):
    first, _ = joined(place)
    first.close()
    again, entry = joined(place, first.state(), "last.ckpt")
    assert (entry.trial, entry.resumed) == (0, True)
    again.close()
    other, entry = joined(tmp_path / "other.db", first.state(), "last.ckpt")
    assert (entry.trial, entry.resumed) == (0, False)
    other.close()


def test_a_trainer_that_begins_anew_has_no_trial(place):
    member, _ = joined(place)
    member.close()
    member.renew(trainer(epoch=3), "fit")
    assert member.number == 0
    member.renew(trainer(), "validate")
    assert member.number == 0
    member.renew(trainer(), "fit")
    assert (member.number, member.state()) == (-1, {})


def test_a_stop_has_its_reason(place):
    member, _ = joined(place)
    member.end(trainer(), 3.0, "it was worse", "trained 3 epochs")
    member.close()
    (ended,) = events(place, TrialEnded)
    assert (ended.state, ended.reason) == ("stopped", "it was worse")


@pytest.mark.parametrize(
    ("exception", "kind", "reason"),
    [
        (ValueError("a bug\nof two lines"), TrialEnded, "ValueError: a bug"),
        (KeyError(), TrialEnded, "KeyError: (no message)"),
        (SystemExit(1), TrialPaused, "interrupted (SystemExit)"),
    ],
)
def test_an_exception_ends_it_and_an_interruption_pauses_it(place, exception, kind, reason):
    member, _ = joined(place)
    member.fail(2.0, exception)
    assert member.run is None
    (event,) = events(place, TrialEnded, TrialPaused)
    assert isinstance(event, kind)
    assert (event.step, event.reason) == (2.0, reason)


def test_a_store_that_fails_then_does_not_hide_the_exception(place):
    member, _ = joined(place)
    member.run.store.close()
    with pytest.warns(UserWarning, match="the end of trial 0 could not be recorded: .*was closed"):
        member.fail(2.0, ValueError("a bug"))
    assert member.run is None


def test_a_sweep_that_cannot_be_joined_leaves_nothing_open(place):
    joined(place)[0].close()
    member = Member("s", place, LOSS)
    with pytest.raises(ValueError, match="another `sweep=`"):
        member.join(trainer(), SimpleNamespace(hparams={}), FullBudget(), 9.0)
    assert member.run is None
    with pytest.raises(StoreError):
        Member("s", place / "nowhere" / "sweep.db", LOSS).join(trainer(), None, ASHA(max_budget=9), 9.0)


def test_how_a_run_ended_in_words():
    stopper = SimpleNamespace(stopped_epoch=3)
    other = SimpleNamespace(callbacks=[stopper])
    assert ending(trainer(), False, 0.0, 9.0) == "there was nothing left to train"
    assert ending(trainer(), True, 9.0, 9.0) == "trained 9 epochs"
    assert ending(trainer(), True, 5.0, math.inf) == "trained 5 epochs"
    assert ending(trainer(), True, 4.0, 9.0) == "its Trainer ended it at epoch 4 of 9"
    assert ending(other, True, 4.0, 9.0) == "SimpleNamespace ended it at epoch 4 of 9"
    stopper.reason = "epoch 4: it was enough"
    assert ending(other, True, 4.0, 9.0) == "SimpleNamespace ended it at epoch 4 of 9: it was enough"


@pytest.mark.parametrize(
    ("store", "sweep", "words"),
    [
        (3, "s", "`store` must be a path or URL, or None, got int"),
        ("a.db", None, "`store` needs `sweep=`"),
        (None, "a b", "`sweep` must be 1 to 100 letters"),
    ],
)
def test_where_runs_meet_is_checked(store, sweep, words):
    with pytest.raises(ArgumentError, match=words):
        check_meeting(store, sweep)
    check_meeting(None, None)
    check_meeting(None, "s")
