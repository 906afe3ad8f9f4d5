"""The engine interface and its errors.

EngineError                 the answer cannot be started or finished
├── InvalidRequest          the request is at fault; another engine would not help
│   └── PromptTooLong       it does not fit into this model's context
└── Unavailable             the engine is at fault; a retry or a fallback may help
"""

from collections.abc import AsyncGenerator
from typing import ClassVar, Literal, Protocol, Unpack

from core.exceptions import EnvelopeError, EnvelopeFields
from core.known_secrets import KnownSecrets
from core.redaction import redact
from engines.events import Event
from engines.requests import EngineRequest

UpstreamFailure = Literal[
    "dns", "refused", "unreachable", "tls", "proxy", "timeout", "status", "broken_off", "invalid_answer"
]
"""How an upstream failed.

Its name does not resolve, nobody listens there, no way leads to it, its certificate is not trusted, the
proxy before it does not let us through, it is too slow, it answered with an error, it broke off, or what it
answered is no answer.
"""


class EngineError(EnvelopeError):
    """Why an engine gave up. It is answered with if that is still possible; `retry_after` is in seconds.

    An engine whose upstream may have said it masks the secrets in it before anybody else has it.
    """

    status = 502
    code = "upstream_error"
    may_fall_back = True
    upstream_failure: UpstreamFailure | None = None

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        upstream_failure: UpstreamFailure | None = None,
        **fields: Unpack[EnvelopeFields],
    ) -> None:
        super().__init__(message, **fields)
        self.retry_after = retry_after
        self.upstream_failure = upstream_failure or self.upstream_failure

    def mask(self, secrets: KnownSecrets) -> None:
        """Mask the secrets that were sent to the upstream, and all that look like one.

        None of our others: a client can have an upstream quote a guess, and see whether it is masked.
        """
        self.message = redact(self.message, secrets)
        self.args = (self.message,)
        self.type, self.code = redact(self.type, secrets), self.code and redact(self.code, secrets)
        self.param = self.param and redact(self.param, secrets)


class InvalidRequest(EngineError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"
    may_fall_back = False


class PromptTooLong(InvalidRequest):
    code = "context_length_exceeded"


class Unavailable(EngineError):
    status = 503
    code = "engine_unavailable"


class Engine(Protocol):
    """A source of answers, such as a model server.

    `stream` yields deltas in the order they were made, a `Finish` for each choice as soon as it is known (a
    later one replaces it), and `Usage` last if it is known. It raises `EngineError`. Closing the iterator
    stops the upstream. Meanwhile the request's `report_…` functions are told what no event says.
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
