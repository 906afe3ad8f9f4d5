"""Middleware that shows each error as who asked can read it: programs as JSON, people as a page."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from core.exceptions import ApiError, Internal
from core.http.call_record import CallRecord, call_of
from core.http.exception_handler import api_error_for_status, error_response, to_api_error

_KEPT_HEADERS = ("Allow", "Retry-After", "Vary", "WWW-Authenticate")
_FOR_PEOPLE = ("/accounts/", "/admin/")


class ErrorEnvelopeMiddleware(MiddlewareMixin):
    """The outermost middleware: no response of 400 or more leaves Django as it made it, not even in DEBUG.

    It is the JSON envelope, or for a browser that opened a page one of ours.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        error = to_api_error(exception)
        # Django logs an unknown exception with its traceback and reports it to error trackers
        return None if isinstance(error, Internal) else error_response(error)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code < 400:
            return response
        wants_page = _wants_page(request)
        known = getattr(response, "api_error", None)
        if known is not None:
            _call_of(request).refuse(known)
        if _is_json(response) and not wants_page:
            return response
        if wants_page and response.status_code == HTTPStatus.UNAUTHORIZED and not _is_json(response):
            return response  # a template of ours: another server did not say who somebody is
        allowed = response.get("Allow", "")
        error = known or api_error_for_status(response.status_code, request.method or "", allowed)
        _call_of(request).refuse(error)
        refusal = _page(error) if wants_page else error_response(error)
        _copy_headers(response, refusal)
        return refusal


def _call_of(request: HttpRequest) -> CallRecord:
    return call_of(getattr(request, "scope", {}))


def _is_json(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").startswith("application/json")


def _wants_page(request: HttpRequest) -> bool:
    return request.path_info.startswith(_FOR_PEOPLE) and "text/html" in request.headers.get("Accept", "")


def _page(error: ApiError) -> HttpResponse:
    """Render a page without asking who is signed in: what failed may be the database."""
    words = {"heading": HTTPStatus(error.status).phrase.capitalize(), "message": error.message}
    page = render_to_string("chatapi/error.html", words)
    return HttpResponse(page, status=error.status, headers=error.headers)


def _copy_headers(old: HttpResponseBase, new: HttpResponseBase) -> None:
    for name in _KEPT_HEADERS:
        if name in old.headers:
            new.headers[name] = old.headers[name]
    new.cookies = old.cookies
