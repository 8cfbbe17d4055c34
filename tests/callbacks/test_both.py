"""One class that both packages' Trainers take for a callback of theirs."""

import json
import subprocess
import sys

import pytest

IMPORTS = """
import json, logging, sys
{before}
import lightning_utilities.core.rank_zero as shared
name = shared.log.name
from lightning_tune.callbacks.both import CallbackOfBoth
import lightning.pytorch, pytorch_lightning
print(json.dumps([name, shared.log.name, [
    isinstance(CallbackOfBoth(), package.Callback) for package in (lightning.pytorch, pytorch_lightning)
]]))
"""


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning", ""])
def test_it_belongs_to_both_and_leaves_their_messages_where_they_were(package):
    before = f"import {package}" if package else ""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(before=before)], capture_output=True, text=True, check=True
    )
    name, after, belongs = json.loads(done.stdout)
    assert belongs == [True, True]
    assert after == (name if package else "lightning.pytorch.utilities.rank_zero")
    assert after.startswith(package)
