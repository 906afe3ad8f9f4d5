"""Refusal of input that allauth, or a library below it, does not expect.

Its forms check most of what is sent, but credentials of security keys, keys of links and JSON of any depth reach
code that fails on them in its own way. Whatever it raises of that kind is the client's concern.
"""

import logging
import traceback

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from core.exceptions import BadRequest
from core.http.exception_handler import error_response

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
        """Answer 400, and log where it was, should it be a mistake of ours after all."""
        if request.method == "GET" or not _is_allauths(request) or not isinstance(exception, _RAISED):
            return None
        last = traceback.extract_tb(exception.__traceback__)[-1]
        where = f"{last.name} ({last.filename.rpartition('/')[2]}:{last.lineno})"
        logger.warning("%s refused: %s in %s", request.path, type(exception).__name__, where)
        return error_response(BadRequest("What was sent is malformed."))


def _is_allauths(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and str(match.func.__module__).startswith("allauth.")
