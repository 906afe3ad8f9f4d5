"""Middleware that turns Django's own error pages into the JSON envelope."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from core.exceptions import Internal
from core.http.exception_handler import api_error_for_status, error_response, to_api_error

_KEPT_HEADERS = ("Allow", "Retry-After", "Vary", "WWW-Authenticate")


class ErrorEnvelopeMiddleware(MiddlewareMixin):
    """The outermost middleware: no response of 400 or more leaves Django as HTML, not even in DEBUG."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        error = to_api_error(exception)
        # Django logs an unknown exception with its traceback and reports it to error trackers
        return None if isinstance(error, Internal) else error_response(error)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code < 400 or _is_json(response):
            return response
        error = api_error_for_status(response.status_code, request.method or "", response.get("Allow", ""))
        refusal = error_response(error)
        _copy_headers(response, refusal)
        return refusal


def _is_json(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").startswith("application/json")


def _copy_headers(old: HttpResponseBase, new: HttpResponseBase) -> None:
    for name in _KEPT_HEADERS:
        if name in old.headers:
            new.headers[name] = old.headers[name]
    new.cookies = old.cookies
