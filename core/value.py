"""The base class of immutable values."""

import msgspec


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """The base of all values: immutable, compared by content, encoded without defaults."""
