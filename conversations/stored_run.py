"""A completion's run, as far as the history knows it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from accounts.principal import Caller, Principal
from billing.holds import ChargeRequest, Hold
from billing.tariffs import Bound
from conversations.completion_request import CompletionRequest
from conversations.digest_chain import scope_of
from core.ids import new_id
from core.value import Value
from engines.messages import Message
from media.services import StoredFile

OWNER_SEPARATOR = "\x1f"
"""What stands between an idempotency key and whose it is; no client's key can hold it."""


class Admission(Value, frozen=True):
    """Where a run was stored: nowhere, if there is no `conversation_id`.

    `history` is everything that the engine is to answer. `first_answer` is the id that the answer's message
    will have, `head_before` the conversation's head if the run answers a message anew: it gets that back if
    no answer comes. `gives_title` is whether the conversation's title is of this run's words. `repeats` is
    the completion that the same idempotency key started before; then nothing was stored or held, and there is
    nothing to run.
    """

    history: tuple[Message, ...]
    hold: Hold
    conversation_id: UUID | None = None
    prompt_id: UUID | None = None
    prompt_digest: str = ""
    first_answer: UUID | None = None
    head_before: UUID | None = None
    gives_title: bool = False
    repeats: UUID | None = None


def owned_idempotency_key(who: Principal, key: str) -> str:
    """Return the key as it is stored.

    What one person or end user sent is nobody else's, even if it is repeated letter by letter.
    """
    return f"{key}{OWNER_SEPARATOR}{who.owner_name}" if who.owner_name else key


class UnrecognizedSound(NamedTuple):
    """A sound whose transcript is needed and not made yet; `param` is its part in the request."""

    seconds: int
    param: str | None


@dataclass(eq=False, kw_only=True)
class StoredRun(ABC):
    """The run of one completion: what admission stores of it, and where that was.

    `model` is the id of the requested model. `files` are those that the messages hold. `admission` is set
    once the run is stored. If the request has sounds, and transcripts of them are needed,
    `recognition_request` is what those are charged by.
    """

    caller: Caller
    request: CompletionRequest
    model: str
    process_id: UUID
    idempotency_key: str | None = None
    body_digest: str = ""
    files: tuple[StoredFile, ...] = ()
    id: UUID = field(default_factory=new_id)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    admission: Admission = field(init=False)
    principal: Principal = field(init=False)
    workspace_id: UUID = field(init=False)
    charge_request: ChargeRequest = field(init=False)
    recognition_request: ChargeRequest | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.principal = who = self.caller.principal
        self.workspace_id = who.workspace_id
        if self.idempotency_key:
            self.idempotency_key = owned_idempotency_key(who, self.idempotency_key)

    @property
    def scope(self) -> str:
        return scope_of(self.principal, self.request.end_user)

    @abstractmethod
    def read_history(self, history: tuple[Message, ...]) -> None:
        """Take note of the whole history. Raises `ApiError` if the model cannot answer it."""

    @abstractmethod
    def bound(self) -> Bound:
        """Return the most that the run may use. Raises `ApiError` if that cannot be told."""

    @abstractmethod
    def unrecognized_sounds(self) -> Sequence[UnrecognizedSound]:
        """Return the sounds whose transcripts are yet to be made."""
