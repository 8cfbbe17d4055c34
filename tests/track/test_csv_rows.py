import csv
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lightning_tune.track.csv_rows import MetricsFile


def _save_hparams(path: str, params: Mapping[str, Any]) -> None:
    Path(path).write_text(json.dumps(dict(params)))


def _open(folder: Path) -> MetricsFile:
    return MetricsFile(folder, _save_hparams)


def _log(file: MetricsFile, *rows: tuple[int, dict[str, Any]]) -> None:
    for step, metrics in rows:
        file.log_metrics(metrics, step)
        file.save()


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def test_rows_are_kept_and_columns_grow(tmp_path: Path) -> None:
    _log(_open(tmp_path), (0, {"loss": torch.tensor(1.5)}), (1, {"acc": 0.5}), (2, {"loss": 1.0}))
    assert (tmp_path / "metrics.csv").read_text() == "acc,loss,step\n,1.5,0\n0.5,,1\n,1.0,2\n"
    assert stat.S_IMODE((tmp_path / "metrics.csv").stat().st_mode) == 0o600


def test_a_resumed_file_goes_on(tmp_path: Path) -> None:
    _log(_open(tmp_path), (0, {"loss": 3.0}), (1, {"loss": 2.0}))
    _log(_open(tmp_path), (2, {"loss": 1.0}), (3, {"other": 9.0}))
    assert _rows(tmp_path) == [
        {"step": "0", "loss": "3.0"},
        {"step": "1", "loss": "2.0"},
        {"step": "2", "loss": "1.0"},
        {"step": "3", "other": "9.0"},
    ]


def test_steps_that_are_trained_again_appear_once(tmp_path: Path) -> None:
    _log(_open(tmp_path), (0, {"loss": 3.0}), (1, {"loss": 2.0}), (1, {"val": 5.0}), (2, {"loss": 1.0}))
    _log(_open(tmp_path), (1, {"loss": 2.5}), (1, {"val": 5.5}), (2, {"loss": 1.5}), (3, {"loss": 0.5}))
    assert [(row["step"], row.get("loss") or row["val"]) for row in _rows(tmp_path)] == [
        ("0", "3.0"),
        ("1", "2.5"),
        ("1", "5.5"),
        ("2", "1.5"),
        ("3", "0.5"),
    ]


def test_a_row_that_is_logged_once_a_fit_takes_only_its_own_place(tmp_path: Path) -> None:
    for leg in range(3):
        _log(_open(tmp_path), (0, {"size": 7.0}), (leg + 1, {"loss": float(leg)}))
    assert [row["step"] for row in _rows(tmp_path)] == ["0", "1", "2", "3"]


def test_rows_of_one_process_never_replace_one_another(tmp_path: Path) -> None:
    file = _open(tmp_path)
    _log(file, (0, {"loss": 1.0}), (0, {"loss": 2.0}))
    assert [row["loss"] for row in _rows(tmp_path)] == ["1.0", "2.0"]
    _log(_open(tmp_path), (0, {"loss": 3.0}), (0, {"loss": 4.0}), (0, {"loss": 5.0}))
    assert [row["loss"] for row in _rows(tmp_path)] == ["3.0", "4.0", "5.0"]


def test_a_half_written_line_is_cut_off(tmp_path: Path) -> None:
    _log(_open(tmp_path), (0, {"loss": 1.0}), (1, {"loss": 2.0}))
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-3])
    _log(_open(tmp_path), (1, {"loss": 2.0}))
    assert [row["loss"] for row in _rows(tmp_path)] == ["1.0", "2.0"]


def test_a_file_that_was_never_begun(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("loss,st")
    _log(_open(tmp_path), (0, {"loss": 1.0}))
    assert _rows(tmp_path) == [{"loss": "1.0", "step": "0"}]


def test_nothing_to_save_writes_nothing(tmp_path: Path) -> None:
    file = _open(tmp_path / "new")
    file.save()
    assert list((tmp_path / "new").iterdir()) == []


def test_hyperparameters_add_up(tmp_path: Path) -> None:
    file = _open(tmp_path)
    file.log_hparams({"lr": 0.1})
    file.log_hparams({"width": 4})
    assert json.loads((tmp_path / "hparams.yaml").read_text()) == {"lr": 0.1, "width": 4}
