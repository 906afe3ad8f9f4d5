"""Refusal of input that allauth, or a library below it, does not expect.

Its forms check most of what is sent, but credentials of security keys, keys of links and JSON of any depth
reach code that fails on them in its own way. Whatever it raises of that kind is the client's concern.
"""

import logging
import traceback
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from requests.exceptions import RequestException

from core.exceptions import BadRequest, ServiceUnavailable
from core.http.exception_handler import error_response, page_not_found_error

logger = logging.getLogger(__name__)

_RAISED = (
    AttributeError,
    LookupError,
    NotImplementedError,  # telephone numbers
    RecursionError,
    TypeError,
    ValueError,  # of any kind: text that no database takes, bad base64, huge numbers
)


class MalformedInputMiddleware(MiddlewareMixin):
    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answer for whoever sent it, and log where it was, should it be a mistake of ours after all."""
        module = _module_of_view(request)
        if not module.startswith("allauth."):
            return None
        if isinstance(exception, RequestException):
            logger.warning("%s: a sign-in provider failed: %s", request.path, type(exception).__name__)
            return error_response(_provider_failed())
        if request.method == "GET" and isinstance(exception, NotImplementedError):
            return error_response(page_not_found_error())  # telephone numbers, which nobody has here
        # a page that is only looked at takes no input, but for what a provider sends along with a browser
        takes_input = request.method != "GET" or module.startswith("allauth.socialaccount.")
        if not takes_input or not isinstance(exception, _RAISED):
            return None
        last = traceback.extract_tb(exception.__traceback__)[-1]
        if _is_ours(last.filename):
            return None
        where = f"{last.name} ({last.filename.rpartition('/')[2]}:{last.lineno})"
        logger.warning("%s refused: %s in %s", request.path, type(exception).__name__, where)
        return error_response(BadRequest("What was sent is malformed."))


def _module_of_view(request: HttpRequest) -> str:
    return "" if request.resolver_match is None else str(request.resolver_match.func.__module__)


def _is_ours(filename: str) -> bool:
    """Tell whether it is our own code that failed, which is nobody else's fault."""
    return Path(filename).is_relative_to(settings.BASE_DIR) and "site-packages" not in filename


def _provider_failed() -> ServiceUnavailable:
    return ServiceUnavailable("The sign-in provider does not answer. Try again.", code="sign_in_provider")
