import json
import os
import platform
import sys
import time
from pathlib import Path

import pytest
import torch

from lightning_tune.track import provenance
from lightning_tune.track.git import Commit


def test_what_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--token", "abc"])
    monkeypatch.chdir(tmp_path)
    facts = provenance.collect(note="first", settings={"a": [1]})
    assert json.loads(json.dumps(facts)) == facts
    versions = facts["versions"]
    assert isinstance(versions, dict)
    assert (versions["python"], versions["torch"]) == (platform.python_version(), torch.__version__)
    assert {"lightning", "pytorch_lightning", "numpy", "lightning_tune", "torchmetrics"} <= set(versions)
    assert (facts["pid"], facts["torch_threads"]) == (os.getpid(), torch.get_num_threads())
    assert facts["command"] == ["train.py", "--token", "***"]
    assert (facts["note"], facts["settings"], facts["folder"]) == ("first", {"a": [1]}, str(tmp_path))
    assert facts["cpu"]
    assert "git_commit" not in facts


def test_the_commit_is_there_in_a_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "commit_of", lambda folder: Commit("ab", dirty=True))
    provenance._commit.cache_clear()
    facts = provenance.collect()
    provenance._commit.cache_clear()
    assert (facts["git_commit"], facts["git_dirty"]) == ("ab", True)


def test_a_changed_answer_does_not_change_the_next() -> None:
    facts = provenance.collect()
    facts["versions"].clear()  # type: ignore[union-attr]
    assert provenance.collect()["versions"]


def test_it_is_fast_and_leaves_the_gpu_alone() -> None:
    provenance.collect()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        provenance.collect()
        times.append(time.perf_counter() - began)
    assert min(times) < 0.05
    assert not torch.cuda.is_initialized()
