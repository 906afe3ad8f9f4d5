"""Encryption of what must be read again, such as the secrets of authenticator apps, by the service's key."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac


class Undecipherable(Exception):
    """It was written with another key than those of the settings."""


def encrypt(text: str) -> str:
    return _cipher().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Raise `Undecipherable` for what no key of the settings has written."""
    try:
        return _cipher().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise Undecipherable from None


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in _keys()])


def _keys() -> Iterator[bytes]:
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        digest = salted_hmac("accounts.sign_in.encryption", "key", secret=secret, algorithm="sha256").digest()
        yield urlsafe_b64encode(digest)
