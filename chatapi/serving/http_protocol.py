"""uvicorn's HTTP parser with what it lacks: limits on a request's head, and refusals in our envelope."""

import asyncio
from http import HTTPStatus

import msgspec
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatapi.middleware.request_id import new_request_id
from core.exceptions import ApiError, BadRequest

HEAD_BYTES = 64 * 1024


class BoundedHttpProtocol(HttpToolsProtocol):
    """An HTTP protocol that refuses a head (request line and headers) that is too large or too late.

    Too large: more than `HEAD_BYTES`, plus at most one read. Too late: incomplete CHATAPI_HEAD_SECONDS
    after it, or its connection, began.
    """

    _head_bytes = 0
    _is_in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(
                    BadRequest(
                        f"The request's headers are larger than {HEAD_BYTES} bytes.",
                        status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                        code="headers_too_large",
                    )
                )

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest("This is no valid HTTP request.", code="invalid_http"))

    def _expect_head(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        if self._timer is None:
            self._timer = self.loop.call_later(settings.CHATAPI_HEAD_SECONDS, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            late = BadRequest(
                "The request did not come in time.", status=HTTPStatus.REQUEST_TIMEOUT, code="request_timeout"
            )
            self._refuse(late)

    def _refuse(self, error: ApiError) -> None:
        body = msgspec.json.encode(error.envelope)
        head = [
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"x-request-id: {new_request_id().decode()}",
            "connection: close",
        ]
        self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        self.transport.close()
