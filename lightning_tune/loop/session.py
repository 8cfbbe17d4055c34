"""One call of `fit`: what it ran under, and what changed since the last."""

import time
import warnings
from collections.abc import Mapping

from lightning_tune.core.events import JSON, SessionOpened
from lightning_tune.loop.journal import Journal
from lightning_tune.track import provenance


def open_session(journal: Journal, settings: Mapping[str, JSON]) -> None:
    """Record a call of `fit`; warn where its Trainer arguments are not those of the call before."""
    sessions = journal.history.sessions
    if sessions:
        old = sessions[-1].provenance.get("settings")
        changed = _changes(old if isinstance(old, dict) else {}, settings)
        if changed:
            warnings.warn(
                f"sweep {journal.name!r} goes on with other settings than before: {'; '.join(changed)}. "
                "Trials from before and after may not be comparable.",
                stacklevel=5,
            )
    journal.record(
        SessionOpened(
            session=len(sessions),
            provenance={**provenance.collect(), "settings": dict(settings)},
            time=time.time(),
        ),
        durable=True,
    )


def _changes(old: Mapping[str, JSON], new: Mapping[str, JSON], prefix: str = "") -> list[str]:
    """Return "key: old -> new" for every setting that differs, nested ones with dotted names."""
    sentences: list[str] = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            sentences += _changes(before, after, f"{prefix}{key}.")
        elif before != after:
            sentences.append(f"{prefix}{key}: {before!r} -> {after!r}")
    return sentences
