"""The API's errors, in the one error envelope that both dialects share.

ApiError
├── BadRequest           400   the request itself
├── NotAuthenticated     401   the credentials identify nobody
│   ├── MissingApiKey
│   ├── InvalidApiKey          wrong, revoked or expired
│   └── SessionEnded           while a request of it ran
├── Forbidden            403   a CSRF token is missing
├── NotFound             404   does not exist, or belongs to somebody else
├── MethodNotAllowed     405
├── Conflict             409   an idempotency key reused with another body
├── BodyTooLarge         413
├── RateLimited          429
├── InsufficientQuota    429   a wallet or a budget cannot cover the call
├── Internal             500   our fault; the message reveals no internals
├── ServiceUnavailable   503   the database is down, or this process is stopping
└── ModelUnpriced        503   no price is set, so nothing is done
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, TypedDict, Unpack


class EnvelopeFields(TypedDict, total=False):
    """The fields of the error envelope; what is None or left out is the class's own."""

    param: str | None
    code: str | None
    status: int | None
    type: str | None


class EnvelopeError(Exception):
    """An error as the fields of OpenAI's error envelope; `status` is the HTTP status to answer with."""

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(self, message: str, **fields: Unpack[EnvelopeFields]) -> None:
        super().__init__(message)
        self.message = message
        self.param = fields.get("param")
        self.code = fields.get("code") or self.code
        self.status = fields.get("status") or self.status
        self.type = fields.get("type") or self.type


class ApiError(EnvelopeError):
    """An error sent to the client; `param` is a path such as `messages[0].content`."""

    def __init__(
        self, message: str, *, headers: Mapping[str, str] | None = None, **fields: Unpack[EnvelopeFields]
    ) -> None:
        super().__init__(message, **fields)
        self.headers = dict(headers or {})

    @property
    def envelope(self) -> dict[str, Any]:
        return envelope(self.message, self.type, self.param, self.code)


def envelope(message: str, type: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


class BadRequest(ApiError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class NotAuthenticated(ApiError):
    status = 401
    type = "invalid_request_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"www-authenticate": "Bearer"})


class MissingApiKey(NotAuthenticated):
    def __init__(self) -> None:
        super().__init__("No API key was sent. Send one as `Authorization: Bearer KEY` or `x-api-key`.")


class InvalidApiKey(NotAuthenticated):
    """A key that does not count, or an end-user token, which is sent in its place."""

    def __init__(self, *, is_token: bool = False) -> None:
        super().__init__(
            "The end-user token is wrong, revoked or expired. Have your server make another."
            if is_token
            else "The API key is wrong, revoked or expired. Make a new one with `manage.py create_api_key`.",
            code="invalid_api_key",
        )


class SessionEnded(NotAuthenticated):
    def __init__(self) -> None:
        super().__init__("The session has ended. Sign in again.", code="session_ended")


class Forbidden(ApiError):
    status = 403
    type = "permission_error"


class NotFound(ApiError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowed(ApiError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{method} is not allowed here; use {allowed}.", headers={"allow": allowed})


class Conflict(ApiError):
    status = 409
    type = "invalid_request_error"
    code = "idempotency_key_reused"


class BodyTooLarge(ApiError):
    status = 413
    type = "invalid_request_error"
    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes.", headers={"connection": "close"})


class RateLimited(ApiError):
    """A call beyond a limit.

    `retry_after` is in seconds; None means that retrying would not help, and clients are told so.
    """

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float | None, type: str | None = None) -> None:
        super().__init__(message, type=type, headers=_retry_headers(retry_after))


def _retry_headers(after: float | None) -> dict[str, str]:
    if after is None:
        return {"x-should-retry": "false"}
    milliseconds = max(1, ceil(after * 1000))
    return {"retry-after": str(ceil(milliseconds / 1000)), "retry-after-ms": str(milliseconds)}


class InsufficientQuota(ApiError):
    """A call that the quota does not cover: retrying would not help, and clients are told so."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param, headers={"x-should-retry": "false"})


class Internal(ApiError):
    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("The server failed to answer. Tell its operator the x-request-id.")


class ServiceUnavailable(ApiError):
    status = 503
    code = "service_unavailable"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, code=code, headers={"retry-after": str(retry_after)})


class ModelUnpriced(ApiError):
    status = 503
    code = "model_unpriced"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model", headers={"x-should-retry": "false"})
