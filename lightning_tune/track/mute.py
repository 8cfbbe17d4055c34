"""Lightning's own chatter, quiet while a trial runs.

Lightning says at every fit which devices there are, which tip it has and what it would rather see; over fifty
trials that buries what matters. Both packages' loggers are raised to ERROR and Lightning's advice among the
warnings is ignored; the warnings of the user's own code stay. Everything is put back as it was.
"""

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

LOGGERS = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric")
"""The roots of both packages; the loggers below them (`utilities.rank_zero` ...) inherit the level."""

_TIPS: tuple[tuple[str, type[Warning]], ...] = (
    (r".*does not have many workers", UserWarning),
    (r".*is smaller than the logging interval", UserWarning),
    (r".*LeafSpec", FutureWarning),
    (r".*Checkpoint directory .* exists and is not empty", UserWarning),
    (r".*Experiment logs directory .* exists and is not empty", UserWarning),
    (r".*when using `ckpt_path`, callbacks used to create the checkpoint need to be provided", UserWarning),
    (r"The dirpath has changed from", UserWarning),
    (r".*GPU available but not used", UserWarning),
)


@contextmanager
def quiet(package: ModuleType, verbose: bool = False) -> Iterator[None]:
    """Mute Lightning while the block runs, and put levels and filters back.

    Args:
        package: `lightning.pytorch` or `pytorch_lightning`; the loggers of both are muted where they are
            loaded.
        verbose: change nothing.

    Example:
        >>> import logging, lightning.pytorch
        >>> with quiet(lightning.pytorch):
        ...     logging.getLogger("lightning.pytorch.utilities.rank_zero").info("Tip: ...")
    """
    if verbose:
        yield
        return
    muted = [logging.getLogger(name) for name in LOGGERS if name in logging.root.manager.loggerDict]
    levels = [(logger, logger.level) for logger in muted]
    filters = _filters(package)
    for logger, level in levels:
        logger.setLevel(max(level, logging.ERROR))
    # Not `catch_warnings`: it makes Python forget which warnings were shown, so that each trial would repeat
    # those of the user's own code.
    warnings.filters[:0] = filters  # type: ignore[index]
    try:
        yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
        for entry in filters:
            _discard(entry)


def _filters(package: ModuleType) -> list[Any]:
    """Build filters as `warnings.filterwarnings` does: (action, message, category, module, line)."""
    entries: list[Any] = [("ignore", re.compile(text, re.IGNORECASE), kind, None, 0) for text, kind in _TIPS]
    advice = _advice(package)
    return entries if advice is None else [*entries, ("ignore", None, advice, None, 0)]


def _advice(package: ModuleType) -> type[Warning] | None:
    """Return the package's own category of advice, `PossibleUserWarning`."""
    fabric = "lightning.fabric" if package.__name__.startswith("lightning.") else "lightning_fabric"
    home = sys.modules.get(f"{fabric}.utilities.warnings")
    found: type[Warning] | None = getattr(home, "PossibleUserWarning", None)
    return found


def _discard(entry: Any) -> None:
    """Take one filter out, by identity: an equal one may be the user's own."""
    for index, other in enumerate(warnings.filters):
        if other is entry:
            del warnings.filters[index]  # type: ignore[attr-defined]
            return
