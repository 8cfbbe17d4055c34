from dataclasses import replace
from pathlib import Path

import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import Config
from lightning_tune.core.space import Float
from lightning_tune.inspect.pages import clean, describe, sweep_page, sweeps_page, table, trial_page
from lightning_tune.inspect.reading import SavedSweep, read_sweep
from lightning_tune.search import GridSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.recorded import record_example


@pytest.fixture
def sweep() -> SavedSweep:
    store = MemoryStore()
    record_example(store)
    record = store.sweep("digits")
    assert record is not None
    return read_sweep(store, record, Path("sweeps/digits"))


def test_the_list_has_a_line_a_sweep(sweep: SavedSweep) -> None:
    header, line = sweeps_page([sweep]).splitlines()
    assert header.split() == ["sweep", "begun", "trials", "of", "which", "monitor", "best", "folder"]
    assert line.startswith("digits  2023-11-1")
    assert "1 completed, 1 failed, 1 running, 1 stopped" in line
    assert line.split()[-3:] == ["val_acc", "0.875", "sweeps/digits"]


def test_a_sweep_shows_its_best_trials_first(sweep: SavedSweep) -> None:
    page = sweep_page(sweep, 20)
    assert "maximise val_acc; search RandomSearch, schedule FullBudget, seed 0" in page
    lines = page.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("trial "))
    assert [line.split()[0] for line in lines[start + 1 :]] == ["1", "0", "3", "2"]
    assert "lr=0.1 net==1+1 momentum=0.9" in page


def test_a_long_list_is_cut_and_says_so(sweep: SavedSweep) -> None:
    assert sweep_page(sweep, 1).splitlines()[-1] == "... and 3 more: --limit 4 shows all."


def test_a_trial_shows_configuration_reports_and_checkpoint(sweep: SavedSweep) -> None:
    page = trial_page(sweep, 0)
    for words in (
        "state        completed",
        "trained 2 epochs",
        "config lr   0.00314159",
        'config net  "cnn"',
    ):
        assert words in page
    assert "checkpoint (best)  sweeps/digits/trials/0/best.ckpt  epoch 1  1,234 bytes" in page
    lines = page.splitlines()
    start = lines.index("epoch  val_acc  val_loss")
    assert [line.split() for line in lines[start + 1 : start + 3]] == [
        ["1", "0.75", "1.5"],
        ["2", "0.5", "nan"],
    ]


def test_a_failed_trial_shows_its_traceback_and_nothing_steers_the_terminal(sweep: SavedSweep) -> None:
    page = trial_page(sweep, 2)
    assert "failed (exception)" in page
    assert "ValueError: [31mtoo wide" in page
    assert "\x1b" not in page + sweep_page(sweep, 20)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(["a", "b"], [["long", "1"], ["x", ""]]) == "a     b\nlong  1\nx"
    assert table(None, []) == ""


def test_a_configuration_is_short() -> None:
    assert describe({"lr": 1 / 3, "n": 3, "flag": True, "net": "cnn"}) == "lr=0.333 n=3 flag=true net=cnn"


@pytest.mark.parametrize("text", ["a\x1bb", "a\x9bb", "a\u202eb", "a\ud800b", "a\x00b", "a\rb"])
def test_what_could_steer_a_terminal_is_removed(text: str) -> None:
    assert clean(text) == "ab"


def test_pages_count_in_the_unit_of_the_sweep(sweep: SavedSweep) -> None:
    steps = replace(sweep, budget=Budget(unit="steps"))
    assert "val_acc  steps  reason" in sweep_page(steps, 20)
    page = trial_page(steps, 0)
    assert "step of it  1\nsteps       2 of 2" in page
    assert "best.ckpt  step 1  1,234 bytes" in page
    assert "step  val_acc  val_loss" in page
    assert "200% of 200%" in trial_page(replace(sweep, budget=Budget(grows="data")), 0)


VALUES = {0.0: (3.0, 0.75), 0.25: (1.0, 0.25), 0.5: (4.0, 0.5), 0.75: (2.0, 0.5)}


def _curve(config: Config, step: float) -> tuple[float, ...]:
    if config["x"] == 1.0:
        raise MemoryError
    return VALUES[config["x"]]


@pytest.fixture
def several() -> SavedSweep:
    store = MemoryStore()
    history = run_function(
        {"x": Float(0.0, 1.0)}, GridSearch(5), _curve, max_trials=5, mode=["min", "max"], store=store
    )
    record = store.sweep("test")
    assert record is not None
    return SavedSweep(record=record, history=history, folder=None)


def test_a_sweep_of_several_objectives_names_its_front(several: SavedSweep) -> None:
    found = {trial.config["x"]: trial.number for trial in several.history}
    page = sweep_page(several, 20).splitlines()
    assert page[1].startswith("minimise value_0, maximise value_1; search")
    front = f"trials {found[0.25]}, {found[0.75]}, {found[0.0]}"
    assert page[3] == f"front of 3, from the best value_0 on: {front}"
    start = page.index(next(line for line in page if line.startswith("trial ")))
    assert page[start].split()[:5] == ["trial", "state", "value_0", "value_1", "epochs"]
    rows = [line.split() for line in page[start + 1 :]]
    ends = sorted([found[0.0], found[0.25]])
    assert [int(row[0]) for row in rows] == [*ends, found[0.75], found[0.5], found[1.0]]
    assert rows[2][2:4] == ["2", "0.5"]


def test_the_list_and_a_trials_page_show_every_objective(several: SavedSweep) -> None:
    _, line = sweeps_page([several]).splitlines()
    assert "value_0, value_1  2, 0.5" in line
    found = {trial.config["x"]: trial.number for trial in several.history}
    page = trial_page(several, found[0.75])
    assert "value_0      2\nvalue_1      0.5" in page
    assert "value_0" not in trial_page(several, found[1.0])
