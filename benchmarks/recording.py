"""What the benchmarks share: medians with intervals, a table, a CSV that says what it was measured on."""

import csv
import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lightning-tune"
"""What takes long to make and is not kept in the repository."""


def median_with_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Return the median and its 95% bootstrap interval (percentiles of 10,000 resampled medians)."""
    array = np.asarray(values, dtype=float)
    draws = np.random.default_rng(seed).choice(array, size=(10_000, len(array)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(np.median(array)), float(low), float(high)


def environment(packages: Sequence[str]) -> dict[str, str]:
    """Return when, where and on which versions a benchmark runs."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    versions = " ".join(f"{name}={importlib.metadata.version(name)}" for name in packages)
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": commit or "unknown",
        "device": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": versions,
    }


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows under the columns of the first."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns two spaces apart; the first is left-aligned."""
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    for line in [header, *rows]:
        first, *others = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *others]))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
