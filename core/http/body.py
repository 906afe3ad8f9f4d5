"""Request bodies, read under a size limit."""

import asyncio
import contextlib

from django.conf import settings
from starlette.types import Receive, Scope

from core.exceptions import BadRequest, BodyTooLarge

DRAIN_SECONDS = 2.0
DRAIN_BYTES = 64 * 1024 * 1024


class ClientDisconnected(Exception):
    """The client disconnected before its request was read."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read the whole body. Raises `BodyTooLarge` as soon as it is known to exceed `limit` bytes."""
    reject_encoded_body(scope)
    if (declared_length(scope) or 0) > limit:
        raise BodyTooLarge(limit)
    seconds = settings.CHATAPI_BODY_SECONDS
    try:
        async with asyncio.timeout(seconds):
            return await _read(receive, limit)
    except TimeoutError:
        raise BadRequest(
            f"The body did not come within {seconds} seconds.", status=408, code="request_timeout"
        ) from None


async def _read(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise BodyTooLarge(limit)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def drain(receive: Receive) -> None:
    """Discard what the client still sends, for a limited time.

    Closing the connection at once would reset it before the client has read the error.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            left = DRAIN_BYTES
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


def reject_encoded_body(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() != b"identity":
            raise BadRequest(
                "The body must be sent without a content-encoding.", status=415, code="unsupported_encoding"
            )


def declared_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit():
                raise BadRequest("The content-length is not a number.")
            return int(value)
    return None
