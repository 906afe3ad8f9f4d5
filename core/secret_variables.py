"""Secrets in environment variables: read without the space around them, and masked wherever they turn up."""

import os
import re

from core.known_secrets import KNOWN_SECRETS, KnownSecrets, users_not_encoded
from core.redaction import redact

_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


class UnusableSecret(ValueError):
    """A variable's value cannot be a secret; the message names the variable and never the value."""


def read_secret(name: str) -> str:
    """Return a key or password, empty if it is not set. Raises `UnusableSecret` if no header can carry it."""
    secret = os.environ.get(name, "").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise UnusableSecret(
            f"{name} has a line break, a control character or a letter that is not ASCII in it, "
            "and no header carries these: was it copied whole, and nothing else?"
        )
    KNOWN_SECRETS.add(secret)
    return secret


def read_url(name: str) -> str:
    """Return a URL that may have a password in it, empty if it is not set. Raises `UnusableSecret`."""
    url = os.environ.get(name, "").strip()
    if not url.isprintable():
        raise UnusableSecret(f"{name} has a line break or a control character in it, and no URL has these")
    KNOWN_SECRETS.add_url(url)
    if users_not_encoded(url):
        raise UnusableSecret(
            f"{name} has an @ after a /, ? or #: its password must be percent-encoded, "
            "/ as %2F, ? as %3F, # as %23; and so must an @ that is not the one before the host, as %40"
        )
    return url


def is_variable(name: str) -> bool:
    """Tell whether this is a variable's name, and not the secret itself, written where its name belongs."""
    return _VARIABLE.fullmatch(name) is not None and redact(name, KnownSecrets()) == name
