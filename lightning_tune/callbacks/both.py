"""A Callback to `lightning` and `pytorch_lightning` alike: their classes differ, so ours inherits both.

The packages share one variable that says under which logger their messages appear, and whichever is imported
last sets it. It is put back, so that importing the other package for our sake changes nothing.
"""

import importlib
import logging
import sys
from typing import Any

_DEFAULT = "lightning.pytorch"
_OTHER = "pytorch_lightning"


def _callbacks_of_both() -> tuple[Any, Any]:
    loaded = [name for name in (_DEFAULT, _OTHER) if name in sys.modules]
    shared: Any = importlib.import_module("lightning_utilities.core.rank_zero")
    before: logging.Logger = shared.log
    classes = tuple(importlib.import_module(name).Callback for name in (_DEFAULT, _OTHER))
    shared.log = before if loaded else logging.getLogger(f"{_DEFAULT}.utilities.rank_zero")
    return classes[0], classes[1]


_Callback, _OtherCallback = _callbacks_of_both()


class CallbackOfBoth(_Callback, _OtherCallback):  # type: ignore[misc, valid-type]  # both are found at run time
    """The base of callbacks that a user gives to a Trainer of either package."""
