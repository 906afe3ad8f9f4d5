"""uvicorn's HTTP protocol with what it lacks.

It bounds a request's head, ignores upgrades, keeps trailers out of the headers, and refuses in our envelope.
"""

import asyncio
from http import HTTPStatus

import httptools
import msgspec
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatapi.middleware.request_id import new_request_id
from core.exceptions import ApiError, BadRequest

HEAD_BYTES = 64 * 1024


class BoundedHttpProtocol(HttpToolsProtocol):
    """An HTTP protocol that refuses a head (request line and headers) that is too large or too late.

    Too large: more than `HEAD_BYTES`, plus at most one read; trailers are bounded in the same way. Too late:
    incomplete CHATAPI_HEAD_SECONDS after it, or its connection, began.

    It speaks nothing but HTTP/1, so a request to upgrade to anything else is served as any other request
    (RFC 9110, 7.8).
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
        if self.parser.should_upgrade():
            return  # the head is parsed again without its upgrade
        self._is_in_head = False
        self._head_bytes = 0
        self._stop_timer()
        super().on_headers_complete()
        self.headers = []  # where trailers go: nobody may take them for headers

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._head_bytes = 0
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(BadRequest("This is no valid HTTP request.", code="invalid_http"))
        else:
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self._refuse(
                    BadRequest(
                        f"The request's headers are larger than {HEAD_BYTES} bytes.",
                        status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                        code="headers_too_large",
                    )
                )

    def _parse(self, data: bytes) -> None:
        """Parse what has come, each request as if it asked for no upgrade.

        A request that asks for one ends, for the parser, with its head, and the parser has no switch for
        that. Its body would then be the next request.
        """
        unparsed = memoryview(data)
        while True:
            try:
                self.parser.feed_data(unparsed)
            except httptools.HttpParserUpgrade as upgrade:
                unparsed = unparsed[upgrade.args[0] :]
                if self.parser.get_method() == b"CONNECT":
                    self._refuse(BadRequest("This is no proxy.", status=501, code="not_a_proxy"))
                    return
                head = self._head_without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
                self.parser.feed_data(head)
            else:
                return

    @property
    def _is_answering(self) -> bool:
        """Whether a refusal would be taken for an answer, or a part of one."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        has_whole_request = not cycle.more_body
        return cycle.response_started or has_whole_request

    def _head_without_upgrade(self) -> bytes:
        request_line = [
            self.parser.get_method(),
            self.url,
            b"HTTP/" + self.parser.get_http_version().encode(),
        ]
        fields = [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([b" ".join(request_line), *fields, b"", b""])

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
        if self.pipeline or self._is_answering:
            self.transport.close()
            return
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
