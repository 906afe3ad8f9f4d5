"""What drf-spectacular cannot see: ASGI endpoints, error responses, and rate-limit headers."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.views import APIView

from core.http.serializers import ErrorSerializer
from core.http.views import ApiView

Endpoint = tuple[str, str, str, Any]
"""An endpoint as drf-spectacular's hooks pass it: its path, the same as a pattern, its method, its view."""

_DESCRIPTIONS = {
    400: "The request is wrong; `param` says where",
    401: "No key, or one that is wrong, revoked or expired",
    403: "The CSRF check of a browser session failed",
    404: "Not there, or not yours",
    409: "The idempotency key was used for another request",
    413: "The body is too large",
    429: "Beyond a limit a minute or of streams at once, or the quota is used up",
    502: "The model server failed",
    503: "The database or the model is not available now",
}


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
    return {status: OpenApiResponse(ErrorSerializer, _DESCRIPTIONS[status]) for status in statuses}
