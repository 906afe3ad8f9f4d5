"""Responses of the ASGI endpoints outside Django."""

from collections.abc import Sequence

import msgspec
from starlette.types import Receive, Send

from core.exceptions import ApiError, BodyTooLarge
from core.http.body import drain

Headers = Sequence[tuple[bytes, bytes]]

EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
_STREAM_HEADERS = ((b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no"))


async def send_response(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def start_stream(send: Send, content_type: tuple[bytes, bytes], *headers: tuple[bytes, bytes]) -> None:
    """Start a response of unknown length that no proxy on the way may keep or change."""
    all_headers = [content_type, *_STREAM_HEADERS, *headers]
    await send({"type": "http.response.start", "status": 200, "headers": all_headers})


async def send_piece(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def end_stream(send: Send, data: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": data})


async def send_json(
    send: Send,
    status: int,
    content: dict[str, object],
    headers: Headers = (),
    *,
    more_body: bool = False,
) -> None:
    body = msgspec.json.encode(content)
    entity = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*entity, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": more_body})


async def send_error(refusal: ApiError, receive: Receive, send: Send) -> None:
    """Send the error envelope with its status and headers.

    If the body is too large, keep reading for a while what the client still sends: closing the connection at
    once would reset it before the client has read the error.
    """
    headers = [(name.encode(), value.encode("latin-1")) for name, value in refusal.headers.items()]
    is_unread = isinstance(refusal, BodyTooLarge)
    await send_json(send, refusal.status, refusal.envelope, headers, more_body=is_unread)
    if is_unread:
        await drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
