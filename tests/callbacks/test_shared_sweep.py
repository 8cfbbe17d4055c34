"""A sweep is made once, by whoever comes first, and is the same to all."""

import stat
import threading
from pathlib import Path

import pytest

from lightning_tune.callbacks.shared_sweep import join_sweep, schedule_for, store_place
from lightning_tune.core.checks import sweep_name
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError, SweepExistsError
from lightning_tune.store import MemoryStore, open_store

LOSS = Objective.of("val_loss")


def test_the_first_makes_it_and_the_others_find_it(tmp_path):
    with open_store(tmp_path / "sweep.db") as store:
        made = join_sweep(store, "s", LOSS, schedule_for(1, 3, None, 9))
        assert join_sweep(store, "s", LOSS, schedule_for(1, 3.0, 9, 9)) == made
        assert made.spec["monitor"] == ["val_loss"]
        assert made.spec["schedule"]["max_budget"] == 9


def test_of_many_that_come_at_once_one_makes_it(tmp_path):
    found, schedule = [], schedule_for(1, 3, None, 9)
    gate = threading.Barrier(8)

    def come():
        with open_store(tmp_path / "sweep.db") as store:
            gate.wait(30)
            found.append(join_sweep(store, "s", LOSS, schedule))

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8
    assert len({record.created for record in found}) == 1


def test_one_that_is_made_between_the_look_and_the_try_is_taken():
    class Late(MemoryStore):
        """Another process makes the sweep just after ours has looked for it."""

        def sweep(self, name):
            found = super().sweep(name)
            if found is None:
                super().create(name, self.spec, 5.0)
            return found

    with MemoryStore() as other:
        spec = join_sweep(other, "s", LOSS, schedule_for(1, 3, None, 9)).spec
    with Late() as store:
        store.spec = spec
        assert join_sweep(store, "s", LOSS, schedule_for(1, 3, None, 9)).created == 5.0


@pytest.mark.parametrize(
    ("objective", "schedule", "sentence"),
    [
        (Objective.of("val_acc"), (1, 3, None, 9), "monitor: 'val_loss' there, 'val_acc' here"),
        (Objective.of("val_loss", "max"), (1, 3, None, 9), "mode: 'min' there, 'max' here"),
        (LOSS, (1, 2, None, 9), "eta: 3 there, 2 here"),
        (LOSS, (2, 3, None, 9), "min_epochs: 1 there, 2 here"),
        (LOSS, (1, 3, None, 27), "max_epochs: 9 there, 27 here"),
        (LOSS, (1, 3, 8, 27), "max_epochs: 9 there, 8 here"),
    ],
)
def test_another_meaning_is_refused_with_the_difference(objective, schedule, sentence):
    with MemoryStore() as store:
        join_sweep(store, "s", LOSS, schedule_for(1, 3, None, 9))
        with pytest.raises(SweepExistsError) as error:
            join_sweep(store, "s", objective, schedule_for(*schedule))
        assert sentence in str(error.value)
        assert str(error.value).count(" there, ") == 1
        assert "another `sweep=`" in str(error.value)


def test_a_sweep_of_another_kind_is_refused():
    with MemoryStore() as store:
        store.create("s", {"monitor": ["val_loss"], "mode": ["min"], "schedule": {"name": "FullBudget"}}, 0.0)
        with pytest.raises(SweepExistsError, match="schedule: 'FullBudget' there, 'ASHA' here"):
            join_sweep(store, "s", LOSS, schedule_for(1, 3, None, 9))
        assert list(store.read("s")) == []


@pytest.mark.parametrize("name", ["", "../s", ".s", "a b", "a/b", "x" * 101, 3, None])
def test_a_name_that_no_folder_can_have_is_refused(name):
    with pytest.raises(ArgumentError, match="`sweep` must be 1 to 100 letters"):
        sweep_name("sweep", name)


def test_rungs_follow_the_trainer_unless_given():
    assert schedule_for(1, 3, None, 27).levels == (1, 3, 9, 27)
    assert schedule_for(2, 2, 9, 100).levels == (2, 4, 8, 9)
    assert schedule_for(1, 4, 16, float("inf")).levels == (1, 4, 16)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((1, 3, None, float("inf")), "`max_epochs` of SuccessiveHalvingPruner must be given"),
        (
            (1, 3, 30, 27),
            "`max_epochs` of SuccessiveHalvingPruner is 30, but the Trainer's `max_epochs` is 27",
        ),
        (
            (28, 3, None, 27),
            "`min_epochs` of SuccessiveHalvingPruner is 28, but the Trainer's `max_epochs` is 27",
        ),
    ],
)
def test_rungs_that_do_not_fit_the_trainer_are_refused(given, words):
    with pytest.raises(ArgumentError) as error:
        schedule_for(*given)
    assert words in str(error.value)


def test_the_store_is_given_or_named_in_the_environment_or_below_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_TUNE_STORE", "postgresql://host/there")
    assert store_place("here.db", "s") == "here.db"
    assert store_place(None, "s") == "postgresql://host/there"
    assert not (tmp_path / "sweeps").exists()
    monkeypatch.setenv("LIGHTNING_TUNE_STORE", "")
    for _ in range(2):
        assert store_place(None, "s") == Path("sweeps/s/sweep.db")
    assert stat.S_IMODE((tmp_path / "sweeps" / "s").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTNING_TUNE_STORE", raising=False)
    (tmp_path / "sweeps").write_text("a file")
    with pytest.raises(ArgumentError, match="cannot be made .*give `store=`"):
        store_place(None, "s")
