"""Secrets of keys, end-user tokens and links: how they begin, and what is stored of them."""

from hashlib import sha256

SECRET_PREFIX = "sk-chatapi-"  # noqa: S105
TOKEN_PREFIX = "ut-chatapi-"  # noqa: S105
PREFIX_LENGTH = len(SECRET_PREFIX) + 4
"""How much of a key's secret is stored in clear, so that people can tell keys apart."""


def digest_of(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
