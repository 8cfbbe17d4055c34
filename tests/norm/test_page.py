"""What `docs/norm.md` shows must run as it stands, in its own order."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "norm.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_examples_run_and_print_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    assert len(BLOCKS) >= 9
    for block in BLOCKS:
        exec(compile(block, "docs/norm.md", "exec"), names)
        printed = capsys.readouterr().out
        for comment in re.findall(r"^ *print\(.*\)  # (.*)$", block, re.MULTILINE):
            pieces = comment.split("...")
            assert all(piece.strip() in printed for piece in pieces), (comment, printed)


def test_its_links_lead_somewhere() -> None:
    root = Path(__file__).parents[2]
    for name in re.findall(r"`((?:docs|benchmarks|examples|tests)/[\w./-]+)`", PAGE):
        assert (root / name).exists(), name


def test_it_names_every_layer() -> None:
    from lightning_tune import norm

    layers = [name for name in norm.__all__ if isinstance(getattr(norm, name), type) and "Norm" in name]
    assert len(layers) >= 14
    for name in layers:
        assert f"`{name}" in PAGE, name
