"""A command line without its secrets: better to hide a harmless word than to keep a password."""

import re
from collections.abc import Iterator, Sequence

HIDDEN = "***"
_WORDS = {
    "apikey", "auth", "credential", "credentials", "key", "passphrase", "passwd", "password", "pat", "pwd",
    "secret", "secrets", "sslpassword", "token", "tokens",
}  # fmt: skip
_URL_PASSWORD = re.compile(r"(?P<before>[a-zA-Z][\w+.-]*://[^/\s:@]*:)[^/\s]*(?=@)")
_QUERY = re.compile(r"(?P<before>[?&;](?P<name>[\w.-]+)=)[^&;#\s]*")
_KNOWN = re.compile(
    r"(?:sk|pk|hf|gh[pousr]|glpat|xox[abprs]|wandb_v1)[-_][\w-]{8,}|AKIA[A-Z0-9]{12,}|eyJ[\w-]{10,}\.[\w.-]+"
)
_RANDOM = re.compile(r"(?<![\w/.-])(?=\w*\d)(?=\w*[a-zA-Z])[\w-]{32,}(?![\w/.-])")


def without_secrets(arguments: Sequence[str]) -> Iterator[str]:
    """Yield a command line's arguments, with `***` for values that are named like secrets or look like one.

    Example:
        >>> list(without_secrets(["--api-key", "abc", "--store=postgresql://me:pw@host/db", "--lr=0.1"]))
        ['--api-key', '***', '--store=postgresql://me:***@host/db', '--lr=0.1']
    """
    hide_next = False
    for argument in arguments:
        if hide_next and not argument.startswith("--"):
            hide_next = False
            yield HIDDEN
            continue
        name, equals, _ = argument.partition("=")
        secret = _is_secret(name)
        hide_next = secret and not equals and name.startswith("-")
        yield f"{name}={HIDDEN}" if secret and equals else _hide(argument)


def _is_secret(name: str) -> bool:
    """Return whether an option's or a variable's name (without its value) speaks of a secret."""
    if "://" in name or " " in name:
        return False
    return any(word in _WORDS for word in re.split(r"[^a-z0-9]+", _snake(name)))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _hide(text: str) -> str:
    text = _URL_PASSWORD.sub(rf"\g<before>{HIDDEN}", text)
    text = _QUERY.sub(lambda found: found["before"] + HIDDEN if _is_secret(found["name"]) else found[0], text)
    return _RANDOM.sub(HIDDEN, _KNOWN.sub(HIDDEN, text))
