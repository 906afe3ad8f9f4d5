"""JSON responses for the ASGI endpoints outside Django."""

import msgspec
from starlette.types import Receive, Send

from core.exceptions import ApiError, BodyTooLarge
from core.http.body import drain


async def send_json(
    send: Send,
    status: int,
    content: dict[str, object],
    headers: list[tuple[bytes, bytes]],
    *,
    more_body: bool = False,
) -> None:
    body = msgspec.json.encode(content)
    entity = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": entity + headers})
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
