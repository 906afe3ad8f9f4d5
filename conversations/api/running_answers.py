"""What a server process knows of the answers it is making; the history shows them before they are stored."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from rest_framework.request import Request

from engines.answers import Choice

SCOPE_KEY = "chatapi.service"
"""The key of an ASGI scope under which Django's views find the service."""


class RunningAnswers(Protocol):
    def written(self, completion_id: UUID) -> Sequence[Choice]:
        """Return what this process has written of an answer so far; nothing if another process makes it."""

    def cancel_from_thread(self, completion_id: UUID) -> None:
        """Cancel an answer that this process makes, and wait until its end is stored."""


def running_answers(request: Request) -> RunningAnswers | None:
    """Return the service behind a request; None where Django is asked without one, as in its test client."""
    scope = getattr(request._request, "scope", {})
    answers: RunningAnswers | None = scope.get(SCOPE_KEY)
    return answers
