"""The base class of immutable values, and the reference to stored bytes."""

import msgspec


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """The base of all values: immutable, compared by content, encoded without defaults."""


class Blob(Value, frozen=True):
    """Bytes stored outside the database, named by their SHA-256 (hex)."""

    sha256: str
    media_type: str
    size: int
