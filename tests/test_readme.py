"""What the README shows must run as it stands, in its own order."""

import re
from pathlib import Path
from typing import Any

import pytest

from lightning_tune.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_its_examples_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    assert len(BLOCKS) >= 5
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert names["result"].best.score > 0.9
    assert len(names["table"]) == 6
    assert names["module"].training is False
    capsys.readouterr()
    for line in re.findall(r"^(lightning-tune (?:list|show|export) [^#\n]*)", README, re.MULTILINE):
        assert main(line.split()[1:]) == 0, line


def test_its_links_lead_somewhere() -> None:
    root = Path(__file__).parents[1]
    for name in re.findall(r"`((?:docs|benchmarks|examples)/[\w./-]+)`", README):
        assert (root / name).exists(), name
