import csv
import json
from pathlib import Path

import openpyxl
import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.core.history import History
from lightning_tune.core.space import Float
from lightning_tune.errors import ArgumentError
from lightning_tune.inspect.reading import read_sweep
from lightning_tune.inspect.rows import export, step_columns, trial_record, trial_row, values_of
from lightning_tune.search import GridSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.recorded import TRACEBACK, record_example


@pytest.fixture
def history() -> History:
    store = MemoryStore()
    record_example(store)
    record = store.sweep("digits")
    assert record is not None
    return read_sweep(store, record).history


def test_the_score_is_in_the_users_own_direction(history: History) -> None:
    assert [values_of(trial, history) for trial in history] == [(0.75,), (0.875,), (), (0.25,)]
    assert [trial_row(trial, history)["score"] for trial in history] == [0.75, 0.875, None, 0.25]


def test_several_objectives_have_a_column_each_and_one_for_the_front(tmp_path: Path) -> None:
    values = {0.0: (3.0, 0.75), 0.5: (1.0, 0.5), 1.0: (2.0, 0.25)}
    history = run_function(
        {"x": Float(0.0, 1.0)},
        GridSearch(3),
        lambda config, step: values[config["x"]],
        max_trials=3,
        mode=["min", "max"],
    )
    export(history, tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:6] == ["trial", "group", "state", "values.value_0", "values.value_1", "front"]
    for row in rows:
        wanted = values[float(row["config.x"])]
        assert (float(row["values.value_0"]), float(row["values.value_1"])) == wanted
        assert row["front"] == str(wanted[0] != 2.0)
    record = trial_record(history.trials[0], history)
    assert record["values"] == list(values[history.trials[0].config["x"]])
    assert "score" not in record


def test_a_trial_without_a_report_has_empty_columns() -> None:
    def fails(config: object, step: float) -> float:
        raise MemoryError

    history = run_function({"x": Float(0.0, 1.0)}, GridSearch(1), fails, max_trials=1, mode=["min", "max"])
    row = trial_row(history.trials[0], history)
    assert (row["values.value_0"], row["values.value_1"], row["front"]) == (None, None, False)


def test_a_row_is_flat(history: History) -> None:
    row = trial_row(history.trials[0], history)
    assert row["trial"] == 0
    assert row["state"] == "completed"
    assert row["seconds"] == 5.0
    assert row["best_epoch"] == 1.0
    assert row["config.lr"] == 0.00314159
    assert row["metrics.val_loss"] == 1.5


def test_a_record_holds_every_report(history: History) -> None:
    record = trial_record(history.trials[0], history)
    assert [report["values"] for report in record["reports"]] == [[0.75], [0.5]]
    assert record["config"] == {"lr": 0.00314159, "net": "cnn"}
    assert trial_record(history.trials[2], history)["error"] == TRACEBACK


def test_csv_has_a_row_a_trial_and_fixed_columns_first(history: History, tmp_path: Path) -> None:
    assert export(history, tmp_path / "trials.csv") == 4
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["trial", "group", "state", "score"]
    assert [row["config.momentum"] for row in rows] == ["", "0.9", "", ""]
    assert float(rows[1]["score"]) == 0.875
    assert rows[1]["config.net"] == "=1+1"
    assert list(rows[0]).index("config.momentum") < list(rows[0]).index("metrics.val_acc")


def test_json_is_valid_and_complete(history: History, tmp_path: Path) -> None:
    export(history, tmp_path / "trials.json")
    trials = json.loads(
        (tmp_path / "trials.json").read_text(encoding="utf-8"), parse_constant=lambda word: pytest.fail(word)
    )
    assert [trial["trial"] for trial in trials] == [0, 1, 2, 3]
    assert trials[0]["reports"][1]["metrics"]["val_loss"] == "nan"
    assert trials[2]["reports"][0]["values"] == ["nan"]
    assert trials[2]["config"]["net"] == "m\x1b[2Jlp"


def test_a_spreadsheet_runs_no_formula_and_holds_awkward_text(history: History, tmp_path: Path) -> None:
    export(history, tmp_path / "trials.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "trials.xlsx").active
    columns = [cell.value for cell in sheet[1]]
    net = columns.index("config.net")
    cells = [row[net] for row in sheet.iter_rows(min_row=2)]
    assert [cell.value for cell in cells] == ["cnn", "=1+1", "m?[2Jlp", "mlp"]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [row[columns.index("score")].value for row in sheet.iter_rows(min_row=2)] == [
        0.75,
        0.875,
        None,
        0.25,
    ]


def test_an_unknown_ending_names_those_there_are(history: History, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"\.csv, \.json or \.xlsx, got 'trials.txt'"):
        export(history, tmp_path / "trials.txt")


@pytest.mark.parametrize("ending", ["csv", "json", "xlsx"])
def test_a_file_that_cannot_be_written_says_why(history: History, tmp_path: Path, ending: str) -> None:
    with pytest.raises(ArgumentError, match="No such file or directory"):
        export(history, tmp_path / "none" / f"trials.{ending}")


@pytest.mark.parametrize(
    ("budget", "columns"),
    [
        (Budget(), ("epochs", "best_epoch")),
        (Budget(unit="samples"), ("samples", "best_sample")),
        (Budget(grows="data"), ("data", "best_data")),
        (Budget(grows="model.layers"), ("layers", "best_layers")),
    ],
)
def test_columns_of_steps_are_named_after_what_is_spent(
    history: History, tmp_path: Path, budget: Budget, columns: tuple[str, str]
) -> None:
    assert step_columns(budget) == columns
    row = trial_row(history.trials[0], history, budget)
    assert [row[name] for name in columns] == [2.0, 1.0]
    record = trial_record(history.trials[0], history, budget)
    assert record["reports"][0][columns[1].removeprefix("best_")] == 1.0
    export(history, tmp_path / "trials.csv", budget)
    header = (tmp_path / "trials.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [name for name in columns if name in header] == list(columns)
