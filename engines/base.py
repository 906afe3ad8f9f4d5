"""The engine interface and its errors.

EngineError                 the answer cannot be started or finished
├── InvalidRequest          the request is at fault; another engine would not help
└── Unavailable             the engine is at fault; a retry or a fallback may help
"""

from collections.abc import AsyncGenerator
from typing import ClassVar, Protocol, Unpack

from core.exceptions import EnvelopeError, EnvelopeFields
from engines.events import Event
from engines.requests import EngineRequest


class EngineError(EnvelopeError):
    """Why an engine gave up. It is answered with if that is still possible; `retry_after` is in seconds."""

    status = 502
    code = "upstream_error"
    may_fall_back = True

    def __init__(
        self, message: str, *, retry_after: float | None = None, **fields: Unpack[EnvelopeFields]
    ) -> None:
        super().__init__(message, **fields)
        self.retry_after = retry_after


class InvalidRequest(EngineError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"
    may_fall_back = False


class Unavailable(EngineError):
    status = 503
    code = "engine_unavailable"


class Engine(Protocol):
    """A source of answers, such as a model server.

    `stream` yields deltas in the order they were made, one `Finish` for each choice, and `Usage` last if it
    is known. It raises `EngineError`. Closing the iterator stops the upstream.
    """

    unsupported: ClassVar[frozenset[str]]
    """OpenAI parameters that this engine cannot honor and that would change the answer if ignored."""

    @property
    def unready_reason(self) -> str | None:
        """Why no answer is possible now; None if one is."""

    async def start(self) -> None:
        """Start what must run before the first answer; returns at once, and may be called again."""

    def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]: ...

    async def close(self) -> None: ...
