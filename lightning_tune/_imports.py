"""Optional packages: imported where they are used, with one message when they are missing."""

import importlib
import importlib.util
from types import ModuleType

from lightning_tune.errors import MissingDependencyError

DISTRIBUTION = "lightning-tuneloop"


def require(package: str, extra: str, feature: str) -> ModuleType:
    """Import an optional package, or say how to get it.

    Args:
        package: the module to import, e.g. `"rich.table"`.
        extra: the extra of our distribution that brings it, e.g. `"rich"`; "" for a core dependency.
        feature: what needs it, as the subject of a sentence, e.g. `"the live table"`.

    Raises:
        MissingDependencyError: with the feature, the package and the line that installs it.

    Example:
        >>> require("json", "rich", "this example").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        brings = f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
        raise MissingDependencyError(
            f"{feature} needs the package `{package.partition('.')[0]}`, which cannot be imported ({error}). "
            f"Install it with: pip install '{brings}'"
        ) from error


def available(package: str) -> bool:
    """Return whether a package is installed, without importing it."""
    return importlib.util.find_spec(package) is not None
