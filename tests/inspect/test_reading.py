from pathlib import Path

import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.errors import ArgumentError, StoreError
from lightning_tune.inspect.reading import (
    find_sweep,
    read_sweep,
    read_sweeps,
    recorded_budget,
    recorded_objective,
    stores_at,
)
from lightning_tune.store import MemoryStore, open_store
from lightning_tune.testing.recorded import SPEC, record_example


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sweeps" / "digits"
    folder.mkdir(parents=True)
    with open_store(folder / "sweep.db") as store:
        record_example(store)
    return folder


def test_a_sweep_is_found_by_folder_root_file_and_url(folder: Path) -> None:
    for where in (folder, folder.parent, folder / "sweep.db", f"sqlite:///{folder / 'sweep.db'}"):
        sweep = find_sweep(str(where))
        assert sweep.record.name == "digits"
        assert [trial.state for trial in sweep.history] == ["completed", "stopped", "failed", "running"]
    assert find_sweep(str(folder)).folder == folder
    assert find_sweep(f"sqlite:///{folder / 'sweep.db'}").folder is None


def test_reading_makes_no_file(tmp_path: Path) -> None:
    for where in (f"{tmp_path}/none.db", f"sqlite:///{tmp_path}/none.db", str(tmp_path)):
        with pytest.raises(ArgumentError, match="there is no file|no sweep in"):
            read_sweeps(where)
    assert list(tmp_path.iterdir()) == []


def test_several_sweeps_are_read_oldest_first_and_chosen_by_name(tmp_path: Path) -> None:
    with open_store(tmp_path / "all.db") as store:
        store.create("young", SPEC, time=2.0)
        store.create("old", SPEC, time=1.0)
    where = str(tmp_path / "all.db")
    assert [sweep.record.name for sweep in read_sweeps(where)] == ["old", "young"]
    assert find_sweep(where, "young").record.name == "young"
    with pytest.raises(ArgumentError, match="2 sweeps in .*'old', 'young'.*--sweep NAME"):
        find_sweep(where)
    with pytest.raises(ArgumentError, match="no sweep 'middle' in .*'old', 'young'"):
        find_sweep(where, "middle")


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    open_store(tmp_path / "sweep.db").close()
    with pytest.raises(ArgumentError, match="holds no sweep yet"):
        read_sweeps(str(tmp_path))


def test_a_file_of_something_else_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "sweep.db").write_text("not a database at all" * 100)
    with pytest.raises(StoreError, match="sweep.db"):
        read_sweeps(str(tmp_path))


def test_a_password_in_a_url_is_in_no_message(tmp_path: Path) -> None:
    with open_store(tmp_path / "all.db") as store:
        store.create("one", SPEC, time=1.0)
    (tmp_path / "a:secret@b").mkdir()
    (tmp_path / "all.db").rename(tmp_path / "a:secret@b" / "all.db")
    with pytest.raises(ArgumentError, match="no sweep 'two' in the database") as caught:
        find_sweep(f"sqlite:///{tmp_path}/a:secret@b/all.db", "two")
    assert "secret" not in str(caught.value)


def test_an_unknown_url_is_refused() -> None:
    with pytest.raises(ArgumentError, match="mysql://"):
        read_sweeps("mysql://host/database")


def test_stores_of_a_root_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sweep.db").touch()
    assert stores_at(str(tmp_path)) == [tmp_path / "a" / "sweep.db", tmp_path / "b" / "sweep.db"]


def test_the_objective_is_read_from_the_record() -> None:
    assert recorded_objective(SPEC).cost((0.5,)) == -0.5
    assert recorded_objective({**SPEC, "score": "last"}).score == "last"
    several = recorded_objective(
        {**SPEC, "monitor": ["val_acc", "size"], "mode": ["max", "min"], "score": "mine"}
    )
    assert several.cost((0.5, 9.0)) == -0.5
    assert recorded_objective({**SPEC, "mode": ["min"], "score": "mine"}).cost((0.5,)) == 0.5
    plain = recorded_objective({**SPEC, "monitor": ["val_acc", "size"], "mode": ["max", "min"]})
    assert not plain.scalar
    assert plain.costs((0.5, 9.0)) == (-0.5, 9.0)
    with pytest.raises(ArgumentError, match="monitor"):
        recorded_objective({})


def test_a_sweep_is_read_from_an_open_store() -> None:
    store = MemoryStore()
    record_example(store)
    record = store.sweep("digits")
    assert record is not None
    sweep = read_sweep(store, record)
    assert sweep.monitor == "val_acc"
    assert sweep.history.best is not None
    assert sweep.history.best.number == 1


def test_what_is_spent_is_read_from_the_record() -> None:
    assert recorded_budget(dict(SPEC)) == Budget()
    assert recorded_budget({**SPEC, "budget": "epochs", "budget_unit": "steps"}) == Budget(unit="steps")
    with MemoryStore() as store:
        store.create("grows", {**SPEC, "budget": "data", "budget_unit": "epochs"}, time=1.0)
        record = store.sweep("grows")
        assert record is not None
        sweep = read_sweep(store, record)
    assert (sweep.budget.grows, sweep.history.anew) == ("data", True)
    with pytest.raises(ArgumentError, match="`budget` must be"):
        recorded_budget({**SPEC, "budget": "coffee"})
