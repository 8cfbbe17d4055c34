"""Reads the `.wandb` files that offline runs leave.

The records are read with the wandb package's own message classes. Its own reader of the frames around them
(`wandb.sdk.internal.datastore`) is gone since it moved into a compiled program, so the frames are read here:
LevelDB's log format, each with a checksum, in blocks of 32 KiB.
"""

import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK, _HEADER = 32768, 7
_FULL, _FIRST, _LAST = 1, 2, 4


@dataclass
class OfflineRun:
    id: str = ""
    project: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None


def read_run(path: Path) -> OfflineRun:
    """Fold the records of one `.wandb` file."""
    run = OfflineRun()
    for content in _contents(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        match record.WhichOneof("record_type"):
            case "run":
                run.id, run.project, run.name = record.run.run_id, record.run.project, record.run.display_name
                run.group, run.job_type = record.run.run_group, record.run.job_type
                run.tags = list(record.run.tags)
                run.config |= _items(record.run.config.update)
            case "config":
                run.config |= _items(record.config.update)
            case "summary":
                run.summary |= _items(record.summary.update)
            case "history":
                run.rows.append(_items(record.history.item))
            case "exit":
                run.exit_code = record.exit.exit_code
    return run


def read_runs(folder: Path, timeout_s: float = 20.0) -> list[OfflineRun]:
    """Read every offline run below a folder that was finished, in the order of their folders.

    W&B's service writes the end of a file a moment after `finish` has returned.
    """
    end = time.monotonic() + timeout_s
    while True:
        runs = [read_run(path) for path in sorted(folder.rglob("offline-run-*/run-*.wandb"))]
        if all(run.exit_code is not None for run in runs) or time.monotonic() > end:
            return runs
        time.sleep(0.05)


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _contents(data: bytes) -> Iterator[bytes]:
    """Yield the content of each record, which may be spread over frames in several blocks."""
    if len(data) < _HEADER:
        return
    assert struct.unpack("<4sHB", data[:_HEADER]) == (b":W&B", 0xBEE1, 0)
    at, parts = _HEADER, b""
    while at + _HEADER <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER:
            at += _BLOCK - at % _BLOCK
            continue
        checksum, length, kind = struct.unpack("<IHB", data[at : at + _HEADER])
        frame = data[at + _HEADER : at + _HEADER + length]
        if len(frame) < length:
            return  # still being written
        assert zlib.crc32(bytes([kind]) + frame) == checksum
        at += _HEADER + length
        parts = frame if kind in (_FULL, _FIRST) else parts + frame
        if kind in (_FULL, _LAST):
            yield parts
