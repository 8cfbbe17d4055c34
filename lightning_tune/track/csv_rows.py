"""The metrics file of a CSVLogger that goes on where it ended.

Lightning's own writer deletes the file when a trial is resumed in the same folder. This one keeps it, adds
columns as they appear, and has one rule for what is trained again after a kill: **a row takes the place of
the row that an earlier process wrote for the same step and the same columns**. Rows of the running process
never replace one another.
"""

import csv
import io
import os
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from lightning_tune.track.private import append_private, private_folder, write_private

Row: TypeAlias = dict[str, Any]
_Key: TypeAlias = tuple[str, frozenset[str]]


class MetricsFile:
    """What `CSVLogger.experiment` is: Lightning's writer as far as a CSVLogger and its users call it.

    Args:
        log_dir: the folder of `metrics.csv` and `hparams.yaml`, made if it is not there.
        save_hparams: writes `hparams.yaml` (Lightning's own function).

    Attributes:
        metrics: the rows that are not in the file yet.
    """

    def __init__(self, log_dir: str | Path, save_hparams: Callable[[str, Mapping[str, Any]], None]) -> None:
        self.log_dir = os.fspath(log_dir)
        self.metrics_file_path = os.path.join(self.log_dir, "metrics.csv")
        self.metrics: list[Row] = []
        self.hparams: dict[str, Any] = {}
        self._save_hparams = save_hparams
        self._path = Path(self.metrics_file_path)
        private_folder(Path(log_dir))
        self._mend()
        self._columns, rows = self._read()
        self._earlier: dict[_Key, deque[int]] = defaultdict(deque)
        for index, row in enumerate(rows):
            self._earlier[_key(row)].append(index)

    def log_hparams(self, params: Mapping[str, Any]) -> None:
        """Add hyperparameters and write all of them to `hparams.yaml`."""
        self.hparams.update(params)
        self._save_hparams(os.path.join(self.log_dir, "hparams.yaml"), self.hparams)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Remember a row until `save`."""
        row = {name: value.item() if hasattr(value, "item") else value for name, value in metrics.items()}
        row["step"] = len(self.metrics) if step is None else step
        self.metrics.append(row)

    def save(self) -> None:
        """Write the rows that came since the last call."""
        if not self.metrics:
            return
        pending, self.metrics = self.metrics, []
        columns = sorted({*self._columns, *(name for row in pending for name in row)})
        places = [self._place(row) for row in pending]
        if columns != self._columns or any(place is not None for place in places):
            self._rewrite(columns, pending, places)
        else:
            with append_private(self._path) as file:
                csv.DictWriter(file, columns).writerows(pending)

    def _place(self, row: Row) -> int | None:
        """Return the index of the earlier row that this one replaces; each is replaced once."""
        earlier = self._earlier.get(_key(row))
        return earlier.popleft() if earlier else None

    def _rewrite(self, columns: list[str], pending: list[Row], places: list[int | None]) -> None:
        _, rows = self._read()
        for row, place in zip(pending, places, strict=True):
            if place is None:
                rows.append(row)
            else:
                rows[place] = row
        text = io.StringIO()
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        write_private(self._path, text.getvalue())
        self._columns = columns

    def _read(self) -> tuple[list[str], list[Row]]:
        if not self._path.is_file():
            return [], []
        with open(self._path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or []), list(reader)

    def _mend(self) -> None:
        """Cut off the line that a killed process left half written."""
        if self._path.is_file():
            content = self._path.read_bytes()
            if not content.endswith(b"\n"):
                os.truncate(self._path, content.rfind(b"\n") + 1)


def _key(row: Mapping[str, Any]) -> _Key:
    filled = frozenset(name for name, value in row.items() if value not in ("", None))
    return str(row.get("step")), filled
