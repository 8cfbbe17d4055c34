"""A disk that fills, a database that is damaged or locked: a clear error, and nothing recorded is lost."""

import os
import sqlite3
import subprocess
import sys

import lightning.pytorch as pl
import pytest

from lightning_tune import Float, TuneLoop
from lightning_tune.core.events import Reported
from lightning_tune.errors import StoreError
from lightning_tune.store import open_store
from lightning_tune.testing.models import tiny_data, tiny_module

Tiny, TinyData = tiny_module(pl), tiny_data(pl)


def loop(root, max_trials=2, **given):
    settings = {"trainer": {"max_epochs": 2, "accelerator": "cpu"}, "logger": False, "name": "s", **given}
    return TuneLoop(
        {"lr": Float(1e-3, 1e-1, log=True)},
        monitor="val_loss",
        max_trials=max_trials,
        root_dir=root,
        **settings,
    )


def reports(path):
    with open_store(path) as store:
        return [event for event in store.read("s") if type(event) is Reported]


def fill(path):
    """Write until nothing more fits."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space left"):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)


@pytest.fixture
def small_disk(tmp_path):
    """Two MiB to write to."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs; RLIMIT_FSIZE is tested in its place")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_ends_the_sweep_with_what_to_do_and_it_goes_on_later(small_disk):
    first = loop(small_disk).fit(Tiny, datamodule=TinyData)
    before = reports(small_disk / "s" / "sweep.db")
    ballast = small_disk / "ballast"
    fill(ballast)
    with pytest.raises(StoreError) as full:
        loop(small_disk, max_trials=30).fit(Tiny, datamodule=TinyData)
    assert "full" in str(full.value).lower() or "No space left" in str(full.value)
    ballast.unlink()
    assert reports(small_disk / "s" / "sweep.db")[: len(before)] == before
    after = loop(small_disk, max_trials=5).fit(Tiny, datamodule=TinyData)
    assert [trial.state for trial in after.trials] == ["completed"] * 5
    assert [trial.score for trial in after.trials[:2]] == [trial.score for trial in first.trials]


LIMITED = """
import resource, signal, sys
import lightning.pytorch as pl
from lightning_tune import Float, TuneLoop
from lightning_tune.testing.models import tiny_data, tiny_module
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
TuneLoop(
    {"lr": Float(1e-3, 1e-1, log=True)}, monitor="val_loss", max_trials=400, root_dir=sys.argv[1], name="s",
    logger=False, trainer={"max_epochs": 2, "accelerator": "cpu"},
).fit(tiny_module(pl), datamodule=tiny_data(pl))
"""


def test_a_file_that_may_not_grow_ends_the_sweep_the_same_way(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LIGHTNING_TUNE_SCREEN": "none"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
    )
    assert done.returncode == 1
    assert "StoreError" in done.stderr.strip().splitlines()[-1]
    kept = reports(tmp_path / "s" / "sweep.db")
    assert kept
    more = max(report.trial for report in kept) + 2
    result = loop(tmp_path, max_trials=more).fit(Tiny, datamodule=TinyData)
    assert {trial.state for trial in result.trials} == {"completed"}
    assert len(result.trials) == more


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("sqlite:///{root}/nowhere/sweep.db", "nowhere"),
        ("{root}/nowhere/sweep.db", "nowhere"),
        ("{root}", "is no file"),
        ("{root}/text.db", "text.db"),
    ],
)
def test_a_store_that_cannot_be_opened_is_named_before_anything_trains(tmp_path, store, message):
    (tmp_path / "text.db").write_text("this is no database, however long it may be" * 100)
    with pytest.raises(StoreError, match=message):
        loop(tmp_path, store=store.format(root=tmp_path)).fit(Tiny, datamodule=TinyData)
    assert not (tmp_path / "s" / "trials").exists()


def test_a_truncated_database_is_named_and_left_as_it_is(tmp_path):
    loop(tmp_path, max_trials=3).fit(Tiny, datamodule=TinyData)
    path = tmp_path / "s" / "sweep.db"
    content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"sweep\.db"):
        loop(tmp_path, max_trials=4).fit(Tiny, datamodule=TinyData)
    assert path.read_bytes() == content


def test_a_database_that_another_process_locks_is_named(tmp_path, monkeypatch):
    from lightning_tune.store.sqlite import SQLiteStore

    loop(tmp_path).fit(Tiny, datamodule=TinyData)
    path = tmp_path / "s" / "sweep.db"
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with SQLiteStore(path, busy_timeout_s=0.2) as store, pytest.raises(StoreError, match="locked"):
            loop(tmp_path, max_trials=3, store=store).fit(Tiny, datamodule=TinyData)
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert len(loop(tmp_path, max_trials=3).fit(Tiny, datamodule=TinyData).trials) == 3
