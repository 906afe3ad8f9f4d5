"""Conversion of whatever views and endpoints raise into the one error envelope."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core import exceptions as django_exceptions
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions as drf_exceptions

from core.exceptions import (
    ApiError,
    BadRequest,
    BodyTooLarge,
    Forbidden,
    Internal,
    InvalidApiKey,
    MethodNotAllowed,
    MissingApiKey,
    NotFound,
    RateLimited,
    ServiceUnavailable,
    SessionEnded,
)

Problem = TypeVar("Problem", bound=Exception)


def error_response(error: ApiError) -> HttpResponse:
    response = HttpResponse(
        msgspec.json.encode(error.envelope),
        status=error.status,
        content_type="application/json",
        headers=error.headers,
    )
    response.api_error = error  # type: ignore[attr-defined]  # for whoever shows it to people
    return response


def database_down_error() -> ServiceUnavailable:
    return ServiceUnavailable("The database does not answer. Try again.", code="database", retry_after=2)


def page_not_found_error() -> NotFound:
    return NotFound("There is nothing at this address.")


def permission_denied_error() -> Forbidden:
    return Forbidden("You may not do this.", code="permission_denied")


def malformed_request_error() -> BadRequest:
    return BadRequest("The request is malformed.")


_MALFORMED = (django_exceptions.SuspiciousOperation, django_exceptions.BadRequest, MultiPartParserError)
_conversions: dict[type[Exception], Callable[[Any], ApiError]] = {}


def register_conversion(kind: type[Problem], convert: Callable[[Problem], ApiError]) -> None:
    """Register how a package's own exceptions are shown to clients."""
    _conversions[kind] = convert


def to_api_error(exception: BaseException | None) -> ApiError:
    """Return the error to show a client for an exception; unknown ones reveal no internals."""
    if isinstance(exception, ApiError):
        return exception
    if isinstance(exception, drf_exceptions.APIException):
        return _from_drf(exception)
    if isinstance(exception, Http404):
        return page_not_found_error()
    if isinstance(exception, django_exceptions.PermissionDenied):
        return permission_denied_error()
    if isinstance(exception, django_exceptions.RequestDataTooBig):
        return BodyTooLarge(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    if isinstance(exception, django_exceptions.DisallowedHost):
        return BadRequest("This host name is not served here.", code="invalid_host")
    if isinstance(exception, SessionInterrupted | UpdateError):  # it was ended while this request ran
        return SessionEnded()
    if isinstance(exception, _MALFORMED):
        return malformed_request_error()
    if isinstance(exception, InterfaceError | OperationalError):
        return database_down_error()
    for kind, convert in _conversions.items():
        if isinstance(exception, kind):
            return convert(exception)
    return Internal()


def _from_drf(exception: drf_exceptions.APIException) -> ApiError:
    match exception:
        case drf_exceptions.NotAuthenticated():
            return MissingApiKey()
        case drf_exceptions.AuthenticationFailed():
            return InvalidApiKey()
        case drf_exceptions.PermissionDenied():
            return permission_denied_error()
        case drf_exceptions.NotFound():
            return page_not_found_error()
        case drf_exceptions.Throttled():
            return _rate_limited(exception)
    if exception.status_code >= 500:
        return Internal()
    return BadRequest(str(exception.detail), status=exception.status_code)


def _rate_limited(exception: drf_exceptions.Throttled) -> RateLimited:
    return RateLimited("Too many requests.", retry_after=getattr(exception, "wait", None) or 1)


_ERRORS_BY_STATUS: dict[int, Callable[[], ApiError]] = {
    401: MissingApiKey,
    403: permission_denied_error,
    404: page_not_found_error,
    429: lambda: RateLimited("Too many requests. Try again later.", retry_after=60),
    503: lambda: ServiceUnavailable("The service is not available now. Try again."),
}


def api_error_for_status(status: int, method: str, allowed: str) -> ApiError:
    """Return the error to show when only the status is known; `allowed` is the `Allow` header."""
    if status == 405:
        return MethodNotAllowed(method, allowed)
    if status in _ERRORS_BY_STATUS:
        return _ERRORS_BY_STATUS[status]()
    error = Internal() if status >= 500 else malformed_request_error()
    error.status = status
    return error


def exception_handler(exception: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Answer DRF's exceptions; unknown ones go on to Django, which logs them and calls `handler500`."""
    if isinstance(exception, drf_exceptions.MethodNotAllowed):
        allowed = ", ".join(context["view"].allowed_methods)
        return error_response(MethodNotAllowed(context["request"].method, allowed))
    error = to_api_error(exception)
    return None if isinstance(error, Internal) else error_response(error)
