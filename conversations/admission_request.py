"""A validated call that asks to be stored."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.principal import Principal
from billing.holds import ChargeRequest
from billing.tariffs import Bound
from core.value import Value
from engines import messages as engine_messages
from media.services import StoredFile


class AdmissionRequest(Value, frozen=True):
    """A validated call that is to be stored.

    `key_digest` is None for a browser session. `bound` takes the whole history and returns the most that the
    call may use.
    """

    completion_id: UUID
    process_id: UUID
    principal: Principal
    key_digest: str | None
    dialect: str
    model: str
    messages: tuple[engine_messages.Message, ...]
    request: dict[str, Any]
    at: datetime
    charge_request: ChargeRequest
    bound: Callable[[tuple[engine_messages.Message, ...]], Bound]
    positions: tuple[int, ...] = ()
    end_user: str = ""
    metadata: dict[str, str] = {}
    conversation_id: str | None = None
    parent_message_id: str | None = None
    idempotency_key: str | None = None
    body_digest: str = ""
    files: tuple[StoredFile, ...] = ()
