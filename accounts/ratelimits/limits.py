"""Limits as values."""

from core.value import Value


class Limits(Value, frozen=True):
    """What one workspace, or one key, may do. 0 means unlimited."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent_streams: int = 0


UNLIMITED = Limits()
