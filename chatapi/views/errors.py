"""Handlers for requests that Django itself refuses, and what its page for debugging shows."""

import re
import sys

from django.http import HttpRequest, HttpResponse
from django.views.debug import SafeExceptionReporterFilter

from core.exceptions import Forbidden
from core.http.exception_handler import error_response, to_api_error


class SettingsFilter(SafeExceptionReporterFilter):
    """Hide what CHATAPI_DEBUG would show of the settings: addresses have passwords in them, too."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL", re.IGNORECASE)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(to_api_error(exception))


handler403 = handler404 = handler400


def handler500(request: HttpRequest) -> HttpResponse:
    return error_response(to_api_error(sys.exc_info()[1]))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_response(Forbidden(f"The CSRF check failed: {reason}", code="csrf_failed"))
