"""Ids: time-ordered UUIDv7s, made in Python so that no statement waits for another's key."""

from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import uuid_utils.compat as uuid_utils

CONVERSATION, MESSAGE, COMPLETION = "conv_", "msg_", "chatcmpl-"
FUNCTION_CALL, FUNCTION_OUTPUT, REASONING = "fc_", "fco_", "rs_"
FILE, SPEECH = "file-", "audio_"
PROJECT, KEY, USER = "proj_", "key_", "user-"
INVITATION = "invite_"
TRANSACTION, BUDGET = "txn_", "budget_"
EXPORT, END_USER_TOKEN = "export_", "eut_"
REQUEST = "req_"


def new_id() -> UUID:
    return uuid_utils.uuid7()


def first_id_at(moment: datetime) -> UUID:
    """Return an id that none made at that time or later is below, and all made earlier are."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def moment_of(id: UUID) -> datetime:
    """Return when an id of `new_id` was made, to the millisecond."""
    return datetime.fromtimestamp((id.int >> 80) / 1000, UTC)


def derive_id(owner: UUID, name: str) -> UUID:
    """Derive an id from its owner and a name; the same inputs always give the same id."""
    return UUID(bytes=sha256(owner.bytes + name.encode()).digest()[:16])


def format_id(prefix: str, id: UUID) -> str:
    """Format an id as clients see it, such as `conv_0193…`."""
    return prefix + id.hex


def parse_id(prefix: str, text: str) -> UUID | None:
    """Return the id behind a public one; None if it cannot be one of ours."""
    if not text.startswith(prefix) or len(text) != len(prefix) + 32:
        return None
    try:
        return UUID(hex=text[len(prefix) :])
    except ValueError:
        return None


def format_user_id(id: int) -> str:
    return f"{USER}{id}"


def parse_user_id(text: str) -> int | None:
    """Return the user's id behind a public one; None if it cannot be one of ours."""
    digits = text.removeprefix(USER)
    if digits == text or not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        return None
    return int(digits)
