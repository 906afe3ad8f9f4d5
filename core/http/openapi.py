"""Descriptions for drf-spectacular: of endpoints outside Django, error responses and rate-limit headers."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from core.http.serializers import ErrorSerializer
from core.http.views import ApiView

Endpoint = tuple[str, str, str, Any]
"""An endpoint as a preprocessing hook of drf-spectacular takes and returns it."""

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


def describe_endpoint(path: str, method: str, base: type[ApiView] = ApiView, **schema: Any) -> Endpoint:
    """Describe an endpoint that is no Django view, by a view that stands in for it in the API document."""

    def stand_in(self: ApiView) -> None:
        """Documents it; never called."""

    view: Any = type("Described", (base,), {method.lower(): extend_schema(**schema)(stand_in)})
    return path, path, method, view.as_view()
