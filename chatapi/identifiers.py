"""Ids: UUIDv7, made in Python so that no statement waits for another's key; in order of time."""

from hashlib import sha256
from uuid import UUID

import uuid_utils.compat as uuid_utils

CONVERSATION, MESSAGE, COMPLETION = "conv_", "msg_", "chatcmpl-"
FILE, SPEECH = "file-", "audio_"


def new_id() -> UUID:
    return uuid_utils.uuid7()


def derived_id(owner: UUID, name: str) -> UUID:
    """An id that says what it is of: made anew, it is the same."""
    return UUID(bytes=sha256(owner.bytes + name.encode()).digest()[:16])


def public(prefix: str, id: UUID) -> str:
    """The id as clients see it, such as `conv_0193…`."""
    return prefix + id.hex


def parse(prefix: str, text: str) -> UUID | None:
    """The id behind a public one; None where it cannot be one of ours."""
    if not text.startswith(prefix) or len(text) != len(prefix) + 32:
        return None
    try:
        return UUID(hex=text[len(prefix) :])
    except ValueError:
        return None
