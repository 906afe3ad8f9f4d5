"""What the history asks of the service that makes answers: what is written of them, and to look at files."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from accounts.principal import Principal
from conversations.part_paths import ITEM_PATHS, PartPaths
from core.value import Value
from engines.answers import Choice
from engines.messages import Message
from media.services import StoredFile

SCOPE_KEY = "chatapi.service"
"""The key of an ASGI scope under which Django's views find the service."""

T = TypeVar("T")
WriteMessages = Callable[[Sequence[Message], Sequence[StoredFile]], T]
"""What stores messages, whose parts name these files."""


class UnresolvedMessages(Value, frozen=True):
    """Messages as a client sent them: their pictures and files may be ids, addresses, or inline.

    `uploads` are the inline bytes by SHA-256. `positions` are where the messages are in the client's list,
    and `paths` how errors name their parts.
    """

    messages: tuple[Message, ...]
    uploads: Mapping[str, bytes] = {}
    positions: tuple[int, ...] = ()
    paths: PartPaths = ITEM_PATHS


class RunningAnswers(Protocol):
    def written(self, completion_id: UUID) -> Sequence[Choice]:
        """Return what this process has written of an answer so far; nothing if another process makes it."""

    def cancel_from_thread(self, completion_id: UUID) -> None:
        """Cancel an answer that this process makes, and wait until its end is stored."""

    def cancel_starting_from_thread(self, workspace_id: UUID, key: str) -> bool:
        """Cancel the calls with an idempotency key that are not admitted yet; tell whether there were any."""

    def attach_from_thread(self, who: Principal, new: UnresolvedMessages, write: WriteMessages[T]) -> T:
        """Find, fetch or store the files of messages, and store these with `write`. Raises `ApiError`."""
