"""One call of `fit`: what it ran under, and what changed since the last."""

import time
import warnings
from collections.abc import Mapping

from lightning_tune.core.events import JSON, SessionOpened
from lightning_tune.loop.opening import OpenSweep
from lightning_tune.track import provenance
from lightning_tune.track.screen import Screen


def open_session(sweep: OpenSweep, settings: Mapping[str, JSON], screen: Screen) -> None:
    """Record a call of `fit`; warn where its Trainer arguments are not those of the call before."""
    sessions = sweep.history.sessions
    if sessions:
        old = sessions[-1].provenance.get("settings")
        changed = _changes(old if isinstance(old, dict) else {}, settings)
        if changed:
            warnings.warn(
                f"sweep {sweep.name!r} goes on with other settings than before: {'; '.join(changed)}. "
                "Trials from "
                "before and after may not be comparable.",
                stacklevel=5,
            )
    event = SessionOpened(
        session=len(sessions),
        provenance={**provenance.collect(), "settings": dict(settings)},
        time=time.time(),
    )
    for appended in sweep.store.append(sweep.name, [event], durable=True):
        sweep.history.extend([appended])
        screen(appended, sweep.history)


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
