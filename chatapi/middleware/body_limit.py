"""A limit on the bodies of requests to Django.

Django's handler would spool any body to disk before it looks at the method, the address or the caller.
"""

from typing import Any

from django.core.handlers.asgi import ASGIHandler
from starlette.types import Message, Receive, Scope, Send

from core.exceptions import ApiError
from core.http.body import ClientDisconnected, read_body
from core.http.call_record import call_of
from core.http.responses import send_error

BODILESS_METHODS = {"GET", "HEAD", "OPTIONS"}
BODILESS_BYTES = 8 * 1024


class BodyLimit:
    """Middleware that reads the body before Django is called, and refuses one of more than `limit` bytes.

    Methods that need no body may send up to `BODILESS_BYTES`.
    """

    def __init__(self, application: ASGIHandler, limit: int) -> None:
        self._application: Any = application
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = BODILESS_BYTES if scope["method"] in BODILESS_METHODS else self._limit
        try:
            body = await read_body(scope, receive, limit)
        except ClientDisconnected:
            return
        except ApiError as refusal:
            call_of(scope).refuse(refusal)
            await send_error(refusal, receive, send)
        else:
            await self._application(scope, _replay_body(body, receive), send)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields the body already read, then whatever comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again
