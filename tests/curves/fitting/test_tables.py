import gzip

import numpy as np
import pytest

from lightning_tune.curves.fitting.tables import last_reports, read_table, read_tables
from lightning_tune.errors import ArgumentError

STEPS = [f"y{step}" for step in range(1, 13)]


def write(folder, name: str, rows: list[str]):
    path = folder / f"{name}.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("\n".join([",".join(["rate", "kind", *STEPS]), *rows]) + "\n")
    return path


def row(rate: str, values: list[float | str]) -> str:
    return ",".join([rate, "adam", *map(str, values), *[""] * (12 - len(values))])


RISING = [round(0.1 + 0.05 * step, 2) for step in range(12)]


def test_an_accuracy_is_told_by_its_range_and_its_rise(tmp_path):
    table = read_table(write(tmp_path, "accuracy", [row("0.1", RISING), row("0.2", RISING[:11])]))
    assert table.name == "accuracy"
    assert table.rises
    assert table.bounds == (0.0, 1.0)
    np.testing.assert_array_equal(table.values[0], RISING)
    assert np.isnan(table.values[1, 11])
    np.testing.assert_array_equal(table.costs[0], [-value for value in RISING])
    np.testing.assert_array_equal(table.configs, [[0.1], [0.2]])  # text is no number


def test_what_falls_is_a_loss(tmp_path):
    table = read_table(write(tmp_path, "loss", [row("0.1", RISING[::-1])]))
    assert not table.rises
    assert table.bounds is None
    np.testing.assert_array_equal(table.costs, table.values)


def test_short_curves_are_left_out(tmp_path):
    table = read_table(write(tmp_path, "short", [row("0.1", RISING[:9]), row("0.2", RISING[:10])]))
    np.testing.assert_array_equal(table.configs, [[0.2]])


def test_the_last_report_is_the_last_finite_one():
    values = np.array([[1.0, 2.0, np.nan], [1.0, np.nan, 3.0], [4.0, np.nan, np.inf]])
    steps, last = last_reports(values)
    np.testing.assert_array_equal(steps, [2, 3, 1])
    np.testing.assert_array_equal(last, [2.0, 3.0, 4.0])


def test_a_folder_has_its_data_sets_by_name(tmp_path):
    for name in ("b", "a"):
        write(tmp_path, name, [row("0.1", RISING)])
    assert [table.name for table in read_tables(tmp_path)] == ["a", "b"]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="`folder` must have curves in files that end in .csv.gz, got"):
        read_tables(tmp_path)
