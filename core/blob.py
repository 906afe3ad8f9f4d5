"""The reference to stored bytes."""

from core.value import Value


class Blob(Value, frozen=True):
    """Bytes stored outside the database, named by their SHA-256 (hex)."""

    sha256: str
    media_type: str
    size: int
