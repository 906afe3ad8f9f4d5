"""The service behind a request, which knows the answers that are being made, and looks at files."""

from typing import TypeVar

from rest_framework.request import Request

from accounts.authentication import principal_of
from conversations.running_answers import SCOPE_KEY, RunningAnswers, UnresolvedMessages, WriteMessages
from core.exceptions import ServiceUnavailable
from engines.messages import carries_media

T = TypeVar("T")


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
