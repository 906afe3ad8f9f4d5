"""What becomes of a call of the API, noted on the way by whoever knows: never its content, never a key."""

from time import perf_counter
from typing import Any, Protocol
from uuid import UUID

from starlette.types import Scope

from core.exceptions import EnvelopeError
from core.ids import new_id

SCOPE_KEY = "chatapi.call"
PARAM_LENGTH = 200
CLIENT_DISCONNECTED = "client_disconnected"
"""The code of a call whose client left before the end of its answer."""


class CallPrincipal(Protocol):
    """Whom a call acts for."""

    @property
    def workspace_id(self) -> UUID: ...

    @property
    def owner_id(self) -> int | None: ...

    @property
    def key_id(self) -> UUID | None: ...

    @property
    def end_user(self) -> str: ...


class CallRecord:
    """One call. What clients and upstreams say in it is cleaned before it is stored or logged.

    `status` is None while nothing was answered. `secret_digest` is only of a secret that nobody looked up.
    `model` is one that is served.
    """

    __slots__ = (
        "client_request_id",
        "code",
        "completion_id",
        "has_ended",
        "id",
        "method",
        "milliseconds",
        "model",
        "param",
        "path",
        "principal",
        "secret_digest",
        "started",
        "status",
        "upstream_failure",
    )

    def __init__(self, id: UUID, method: str, path: str, client_request_id: bytes = b"") -> None:
        self.id = id
        self.method = method
        self.path = path
        self.client_request_id = client_request_id
        self.started = perf_counter()
        self.milliseconds = 0
        self.has_ended = False
        self.status: int | None = None
        self.principal: CallPrincipal | None = None
        self.secret_digest: str | None = None
        self.model: str | None = None
        self.completion_id: str | None = None
        self.code: str | None = None
        self.param: str | None = None
        self.upstream_failure: str | None = None

    def fail(self, code: str | None, param: str | None = None, upstream_failure: str | None = None) -> None:
        """Note why the call failed, unless that is known already: what comes after is a consequence."""
        if self.code is None:
            self.code = code
            self.param = param and param[:PARAM_LENGTH]
            self.upstream_failure = upstream_failure

    def refuse(self, error: EnvelopeError) -> None:
        """Note the error that the call is answered with."""
        self.fail(error.code, error.param)

    def end(self) -> None:
        self.has_ended = True
        self.milliseconds = int((perf_counter() - self.started) * 1000)


def call_of(scope: Scope | dict[str, Any]) -> CallRecord:
    """Return the record of the call that a scope is of; where none is kept, one that nobody reads."""
    found: CallRecord | None = scope.get(SCOPE_KEY)
    return CallRecord(new_id(), "", "") if found is None else found
