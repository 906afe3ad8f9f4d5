"""A stored file as a response: whole or in ranges.

It is sent block by block, so a slow reader ties up neither a thread nor a connection to the storage.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from secrets import token_hex
from typing import NamedTuple
from urllib.parse import quote

from starlette.datastructures import Headers as RequestHeaders
from starlette.types import Scope, Send

from core.exceptions import BadRequest, NotFound, ServiceUnavailable
from core.http.asgi_endpoint import Receiver, watch_disconnect
from core.http.body import ClientDisconnected
from core.http.responses import Headers, end_stream, send_piece
from core.value import Value
from media.api.byte_ranges import RangeNotSatisfiable, Span, is_not_modified, may_be_partial, parse_range
from media.models import Asset, Rendition, rendition_name
from media.storage.operations import open_range

BLOCK = 1024 * 1024
INLINE_TYPES = ("image/", "audio/")
"""Media types that a browser may show in place; everything else is downloaded.

Such a file was decoded as its type, so it is no script.
"""


class StoredContent(Value, frozen=True):
    """A file of the storage. `etag` is quoted, as in its header."""

    name: str
    media_type: str
    size: int
    etag: str
    filename: str | None = None


class _Part(NamedTuple):
    """Bytes to send: some of our own, then a span of the file."""

    before: bytes
    span: Span


class _Reply(NamedTuple):
    """The head of a response, the parts of the file to send, and our own bytes at the end."""

    status: int
    headers: Headers
    parts: Sequence[_Part] = ()
    end: bytes = b""


def asset_content(asset: Asset, filename: str | None = None) -> StoredContent:
    return StoredContent(asset.storage_name, asset.media_type, asset.size, f'"{asset.sha256}"', filename)


def rendition_content(rendition: Rendition) -> StoredContent:
    name = rendition_name(rendition.asset.workspace_id, rendition.id)
    etag = f'"{rendition.id.hex}-{rendition.size:x}"'
    return StoredContent(name, rendition.media_type, rendition.size, etag)


async def send_content(
    content: StoredContent, extra_headers: Headers, scope: Scope, receive: Receiver, send: Send
) -> None:
    """Answer a GET or HEAD request; `extra_headers` are the caller's own."""
    request_headers = RequestHeaders(scope=scope)
    headers = [*_headers(content), *extra_headers]
    if is_not_modified(request_headers.get("if-none-match"), content.etag):
        await _send_head(send, _Reply(304, headers))
    elif scope["method"] == "HEAD":
        await _send_head(send, _full_reply(content, headers))
    else:
        spans = _spans(request_headers, content)
        reply = _full_reply(content, headers) if spans is None else _partial_reply(content, spans, headers)
        await _send(content, reply, receive, send)


def _full_reply(content: StoredContent, headers: Headers) -> _Reply:
    media_type = (b"content-type", content.media_type.encode())
    length = (b"content-length", str(content.size).encode())
    return _Reply(200, [*headers, media_type, length], (_Part(b"", Span(0, content.size)),))


def _partial_reply(content: StoredContent, spans: Sequence[Span], headers: Headers) -> _Reply:
    if len(spans) == 1:
        media_type, end = content.media_type, b""
        parts = [_Part(b"", spans[0])]
        headers = [*headers, (b"content-range", spans[0].content_range(content.size).encode())]
    else:
        boundary = token_hex(13)
        media_type, end = f"multipart/byteranges; boundary={boundary}", f"\r\n--{boundary}--\r\n".encode()
        parts = [_Part(_part_head(content, span, boundary), span) for span in spans]
    size = len(end) + sum(len(part.before) + part.span.stop - part.span.start for part in parts)
    entity = [(b"content-type", media_type.encode()), (b"content-length", str(size).encode())]
    return _Reply(206, [*headers, *entity], parts, end)


def _spans(request_headers: RequestHeaders, content: StoredContent) -> list[Span] | None:
    if not may_be_partial(request_headers.get("if-range"), content.etag):
        return None
    try:
        return parse_range(request_headers.get("range"), content.size)
    except RangeNotSatisfiable:
        raise BadRequest(
            f"The range is not within the file's {content.size} bytes.",
            status=416,
            code="range_not_satisfiable",
            headers={"content-range": f"bytes */{content.size}"},
        ) from None


def _part_head(content: StoredContent, span: Span, boundary: str) -> bytes:
    return (
        f"\r\n--{boundary}\r\ncontent-type: {content.media_type}\r\n"
        f"content-range: {span.content_range(content.size)}\r\n\r\n"
    ).encode()


async def _send_head(send: Send, reply: _Reply) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": b""})


async def _send(content: StoredContent, reply: _Reply, receive: Receiver, send: Send) -> None:
    blocks = _blocks(content, reply.parts)
    with watch_disconnect(receive) as is_gone:
        async with aclosing(blocks):
            first = await anext(blocks, b"")  # if the storage fails, an error can still be sent
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            await send_piece(send, first)
            async for block in blocks:
                if is_gone.is_set():
                    raise ClientDisconnected
                await send_piece(send, block)
            await end_stream(send, reply.end)


async def _blocks(content: StoredContent, parts: Sequence[_Part]) -> AsyncGenerator[bytes, None]:
    try:
        for before, span in parts:
            if before:
                yield before
            for start in range(span.start, span.stop, BLOCK):
                yield await asyncio.to_thread(_read, content.name, start, min(BLOCK, span.stop - start))
    except FileNotFoundError:
        raise file_not_found() from None
    except OSError as error:
        raise ServiceUnavailable("The storage does not answer. Try again.", code="storage") from error


def _read(name: str, start: int, length: int) -> bytes:
    return b"".join(open_range(name, start, length))


def _headers(content: StoredContent) -> Headers:
    disposition_type = "inline" if content.media_type.startswith(INLINE_TYPES) else "attachment"
    headers = {
        "accept-ranges": "bytes",
        "etag": content.etag,
        "cache-control": "private, no-cache",
        "content-disposition": content_disposition(disposition_type, content.filename),
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def content_disposition(kind: str, filename: str | None) -> str:
    """Return a `Content-Disposition` with the name in both forms (RFC 6266), without any folder."""
    if filename is None:
        return kind
    name = filename.replace("/", "_").replace("\\", "_")
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"%' else "_" for c in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return f'{kind}; filename="{plain}"{extended}'


def file_not_found() -> NotFound:
    return NotFound("There is no such file.", param="file_id")
