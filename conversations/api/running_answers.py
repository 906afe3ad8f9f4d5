"""What the history asks of the service that makes answers: what is written of them, and to look at files."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from rest_framework.request import Request

from accounts.authentication import principal_of
from accounts.principal import Principal
from conversations.part_paths import ITEM_PATHS, PartPaths
from core.exceptions import ServiceUnavailable
from core.value import Value
from engines.answers import Choice
from engines.messages import Message, carries_media
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

    def attach_from_thread(self, who: Principal, new: UnresolvedMessages, write: WriteMessages[T]) -> T:
        """Find, fetch or store the files of messages, and store these with `write`. Raises `ApiError`."""


def running_answers(request: Request) -> RunningAnswers | None:
    """Return the service behind a request; None where Django is asked without one, as in its test client."""
    scope = getattr(request, "scope", {})
    answers: RunningAnswers | None = scope.get(SCOPE_KEY)
    return answers


def write_messages(request: Request, new: UnresolvedMessages, write: WriteMessages[T]) -> T:
    """Store messages with `write`. Their files are looked at by the service, in its event loop."""
    if not carries_media(new.messages):
        return write(new.messages, ())
    service = running_answers(request)
    if service is None:
        raise ServiceUnavailable("Files cannot be looked at here. Send the items to the service itself.")
    return service.attach_from_thread(principal_of(request), new, write)
