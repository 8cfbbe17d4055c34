import json

import pytest

from lightning_tune._imports import available, require
from lightning_tune.errors import MissingDependencyError


def test_what_is_there_is_imported():
    assert require("json", "rich", "this test") is json
    assert available("json")
    assert not available("no_such_package_at_all")


def test_what_is_missing_names_the_feature_the_package_and_the_line_that_installs_it():
    with pytest.raises(MissingDependencyError) as missing:
        require("no_such_package_at_all.inner", "rich", "the live table")
    message = str(missing.value)
    assert message.startswith("the live table needs the package `no_such_package_at_all`")
    assert "pip install 'lightning-tuneloop[rich]'" in message
    assert isinstance(missing.value, ImportError)
    with pytest.raises(MissingDependencyError, match="pip install 'lightning-tuneloop'$"):
        require("no_such_package_at_all", "", "logger='wandb'")
