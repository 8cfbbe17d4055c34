"""Configurations to try first.

The user's `baseline=`, and the values of an instance that was handed to `fit`.
"""

from collections.abc import Mapping, Sequence

from lightning_tune.core.events import Config
from lightning_tune.core.history import config_key
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError, SpaceError


def baselines_of(
    baseline: Mapping[str, object] | Sequence[Mapping[str, object]] | None, own: Config, space: Space
) -> tuple[list[Config], list[str]]:
    """Return the configurations to try first, without doubles, and a note for each that had to be left out.

    Args:
        baseline: the user's configuration or list of them; each must be a whole configuration of the space.
        own: values of the user's own instances, by key; what they lack is the centre of the space.
        space: the search space.

    Raises:
        ArgumentError: a baseline that is no configuration of the space, naming the key.
    """
    configs: list[Config] = []
    notes: list[str] = []
    if own:
        config = {key: value for key, value in {**space.default(), **own}.items()}
        if space.contains(config):
            configs.append(space.validate(config))
        else:
            notes.append(f"the instance's own values lie outside the space and are not tried first: {own}")
    if baseline is not None and not isinstance(baseline, Mapping | Sequence) or isinstance(baseline, str):
        raise ArgumentError(
            f"`baseline` must be a configuration (a dictionary) or a list of them, got {baseline!r}."
        )
    given = [baseline] if isinstance(baseline, Mapping) else list(baseline or [])
    for number, entry in enumerate(given):
        where = "`baseline`" if isinstance(baseline, Mapping) else f"`baseline[{number}]`"
        if not isinstance(entry, Mapping):
            raise ArgumentError(f"{where} must be a configuration (a dictionary), got {entry!r}.")
        try:
            configs.append(space.validate(dict(entry)))
        except SpaceError as error:
            raise ArgumentError(f"{where} is not a configuration of the space: {error}") from error
    return list({config_key(config): config for config in configs}.values()), notes
