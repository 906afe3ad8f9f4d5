"""What drf-spectacular cannot see: ASGI endpoints, error responses, and rate-limit headers."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.views import APIView

from core.exceptions import (
    ApiError,
    BadRequest,
    BodyTooLarge,
    Conflict,
    Forbidden,
    MissingApiKey,
    NotFound,
    RateLimited,
    ServiceUnavailable,
)
from core.http.serializers import ErrorSerializer
from core.http.views import ApiView

Endpoint = tuple[str, str, str, Any]
"""An endpoint as drf-spectacular's hooks pass it: its path, the same as a pattern, its method, its view."""

REFUSALS: dict[int, tuple[str, ApiError]] = {
    400: (
        "The request is wrong; `param` says where",
        BadRequest(
            "Invalid type for 'messages[0].content': expected a string or an array, got an integer.",
            param="messages[0].content",
            code="invalid_type",
        ),
    ),
    401: ("No key or session, or one that is wrong, revoked or expired", MissingApiKey()),
    403: (
        "The caller may not do this, or the CSRF check of a browser's session failed",
        Forbidden(
            "This API key may not do this: its scopes, or the role of its user, lack the permission "
            "'history.write'. Use a key with another scope.",
            code="insufficient_permissions",
        ),
    ),
    404: ("It is not there, or the caller may not see it", NotFound("There is no such conversation.")),
    408: (
        "The body did not come in time",
        BadRequest("The body did not come within 120 seconds.", status=408, code="request_timeout"),
    ),
    409: (
        "It does not fit what is there; `code` says why",
        Conflict("This idempotency key was used for another request.", param="Idempotency-Key"),
    ),
    413: ("The body, or a file in it, is too large", BodyTooLarge(32 * 1024 * 1024)),
    415: (
        "The body is not of the kind that is wanted, or is compressed",
        BadRequest(
            "The body must be sent without a content-encoding.", status=415, code="unsupported_encoding"
        ),
    ),
    416: (
        "The file has no such bytes",
        BadRequest(
            "The range is not within the file's 482113 bytes.", status=416, code="range_not_satisfiable"
        ),
    ),
    429: (
        "Beyond a limit a minute or of streams at once, or the quota is used up",
        RateLimited("Too many requests. Try again later.", retry_after=1),
    ),
    502: (
        "The model's server failed",
        ApiError("The upstream failed.", status=502, code="upstream_error"),
    ),
    503: (
        "The database or the model is not available now, or the model has no price",
        ServiceUnavailable("The database does not answer. Try again.", code="database"),
    ),
    504: (
        "The model's server, or what the call carries, took too long",
        ApiError("The upstream took too long.", status=504, code="upstream_timeout"),
    ),
}
"""What a status means, and an error that has it."""


def asgi_endpoint(method: str, path: str, *, base: type[APIView] = ApiView, **schema: Any) -> Endpoint:
    """Describe an endpoint outside Django by what `extend_schema` takes, with a view that is never called."""

    def handler(self: APIView) -> None: ...

    view: type[APIView] = type("AsgiEndpoint", (base,), {method.lower(): extend_schema(**schema)(handler)})
    return path, path, method, view.as_view()


def path_id(name: str, description: str) -> OpenApiParameter:
    """Document an id in an address."""
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.PATH, description=description)


def rate_limit_headers(*kinds: str) -> list[OpenApiParameter]:
    """Document the headers for these kinds of limits, `requests` and `tokens`, in a view's schema."""
    limits = {
        f"x-ratelimit-{name}-{kind}": (
            type,
            f"{what}. Of the key's and the workspace's limit the tighter one.",
        )
        for kind in kinds
        for name, type, what in (
            ("limit", int, f"{kind.capitalize()} a minute"),
            ("remaining", int, f"{kind.capitalize()} that are left"),
            ("reset", str, "In which time all are there again, such as `12ms` or `1m30s`"),
        )
    }
    retry = {
        "retry-after": (int, "Seconds until the call may be sent again."),
        "retry-after-ms": (int, "The same in milliseconds."),
    }
    return [
        OpenApiParameter(name, type, OpenApiParameter.HEADER, description=description, response=statuses)
        for statuses, headers in (([200, 429], limits), ([429], retry))
        for name, (type, description) in headers.items()
    ]


def error_responses(*statuses: int) -> dict[Any, Any]:
    """Document these error statuses in a view's `responses`."""
    return {status: OpenApiResponse(ErrorSerializer, REFUSALS[status][0]) for status in statuses}
