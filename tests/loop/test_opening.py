import stat

import pytest

from lightning_tune.core.events import LegStarted, Reported, SpaceDeclared, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Float, Space
from lightning_tune.errors import ArgumentError, SweepExistsError
from lightning_tune.loop.opening import open_sweep, sweep_folder
from lightning_tune.store import MemoryStore

NARROW, WIDE = Space({"x": Float(0.0, 1.0)}), Space({"x": Float(0.0, 2.0)})


def opened(store, tmp_path, space=NARROW, spec=None, **given):
    settings = {"amend": False, "overwrite": False, **given}
    return open_sweep(
        name="s",
        folder=tmp_path,
        store=store,
        spec={"seed": 0, "mode": ["min"]} if spec is None else spec,
        space=space,
        history=History(Objective.of("loss")),
        **settings,
    )


def with_a_report(store, tmp_path):
    opened(store, tmp_path)
    trial = TrialStarted(
        trial=0, group=0, config={"x": 0.5}, seed=0, space_version=1, origin="search", time=0.0
    )  # fmt: skip
    store.append(
        "s", [trial, LegStarted(trial=0, leg=0, budget=1.0, time=0.0), Reported(0, 0, 1.0, (0.5,), 0.0)]
    )


def test_a_new_sweep_declares_its_space(tmp_path):
    store = MemoryStore()
    sweep = opened(store, tmp_path)
    assert not sweep.resumed
    (declared,) = store.read("s")
    assert isinstance(declared, SpaceDeclared)
    assert Space.from_json(dict(declared.space)) == NARROW


def test_the_same_sweep_is_resumed(tmp_path):
    store = MemoryStore()
    with_a_report(store, tmp_path)
    sweep = opened(store, tmp_path)
    assert sweep.resumed
    assert sweep.history.trials[0].score == 0.5


def test_every_difference_is_shown_and_nothing_is_changed(tmp_path):
    store = MemoryStore()
    with_a_report(store, tmp_path)
    before = list(store.read("s"))
    with pytest.raises(SweepExistsError) as refused:
        opened(store, tmp_path, WIDE, {"seed": 1, "mode": ["min"]}, amend=True)
    message = str(refused.value)
    assert "seed: 0 there, 1 here" in message
    assert "space: " in message
    assert "amend" not in message  # amending accepts another space only
    with pytest.raises(SweepExistsError, match="`amend=True` to go on with the new space"):
        opened(store, tmp_path, WIDE)
    assert list(store.read("s")) == before


def test_amending_declares_a_new_version_once(tmp_path):
    store = MemoryStore()
    with_a_report(store, tmp_path)
    for _ in range(2):
        sweep = opened(store, tmp_path, WIDE, amend=True)
    assert sorted(sweep.history.spaces) == [1, 2]
    assert len(sweep.history) == 1


def test_overwriting_deletes_the_trials_and_their_files(tmp_path):
    store = MemoryStore()
    with_a_report(store, tmp_path)
    (tmp_path / "trials" / "0").mkdir(parents=True)
    sweep = opened(store, tmp_path, spec={"seed": 9}, overwrite=True)
    assert len(sweep.history) == 0
    assert not (tmp_path / "trials").exists()
    assert store.sweep("s").spec == {"seed": 9}


def test_a_sweep_in_which_nothing_was_ever_reported_is_not_in_the_way(tmp_path):
    store = MemoryStore()
    opened(store, tmp_path)
    assert not opened(store, tmp_path, WIDE, {"seed": 5}).resumed
    assert store.sweep("s").spec == {"seed": 5}


def test_folders_are_private_and_fresh_names_differ(tmp_path):
    name, folder = sweep_folder(tmp_path / "a" / "b", "mine")
    assert (name, folder) == ("mine", tmp_path / "a" / "b" / "mine")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = {sweep_folder(tmp_path, None)[0] for _ in range(3)}
    assert len(names) == 3


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", ".hidden", "x" * 101, "naïve"])
def test_names_never_become_paths(tmp_path, name):
    with pytest.raises(ArgumentError, match="`name` must be"):
        sweep_folder(tmp_path, name)


def test_a_root_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="`root_dir=.*cannot be written"):
        sweep_folder(tmp_path / "file" / "sweeps", "s")
