"""Cursors: positions in a list as opaque text, which that list alone takes."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from django.utils.crypto import salted_hmac

PREFIX = "cursor_"
_TEXT = re.compile(r"[A-Za-z0-9_-]{16,300}")
_DIGEST_LENGTH = 12
_encode = msgspec.json.Encoder(order="deterministic").encode


class Cursors:
    """The cursors of one list, told from all others by what `of` says: kind, owner, order and filters.

    They are signed, so that whatever was changed or made up is known.
    """

    def __init__(self, *of: Any) -> None:
        self._list = of

    def seal(self, position: Sequence[Any]) -> str:
        """Return a position (times and ids) as text."""
        plain = _encode(position)
        return PREFIX + urlsafe_b64encode(self._digest(plain) + plain).decode().rstrip("=")

    def open(self, text: str) -> list[str] | None:
        """Return the position, its values as texts; None for what is no cursor of this list."""
        encoded = text.removeprefix(PREFIX)
        if encoded == text or not _TEXT.fullmatch(encoded) or len(encoded) % 4 == 1:
            return None
        sealed = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        plain = sealed[_DIGEST_LENGTH:]
        if self._digest(plain) != sealed[:_DIGEST_LENGTH]:
            return None
        position = msgspec.json.decode(plain, type=list[str])
        return position if self.seal(position) == text else None

    def _digest(self, plain: bytes) -> bytes:
        content = _encode([*self._list, plain])
        return salted_hmac("core.cursors", content, algorithm="sha256").digest()[:_DIGEST_LENGTH]
