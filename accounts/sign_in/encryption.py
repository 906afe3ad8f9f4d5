"""Encryption of what must be read again, such as the secrets of authenticator apps, by the service's key."""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class Undecipherable(Exception):
    """It was written with another key than CHATAPI_SECRET_KEY."""


def encrypt(text: str) -> str:
    return _cipher().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Raise `Undecipherable` for what was written with another key."""
    try:
        return _cipher().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise Undecipherable from None


def _cipher() -> Fernet:
    digest = salted_hmac("accounts.sign_in.encryption", "key", algorithm="sha256").digest()
    return Fernet(urlsafe_b64encode(digest))
