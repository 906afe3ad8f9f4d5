"""`x-request-id` on every response, and the record of every call of the API, begun and ended here."""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from accounts.credentials import find_credentials
from accounts.secret_digests import digest_of
from chatapi.request_log.recorder import Recorder
from chatapi.request_log.routes import PATH_LENGTH
from core.exceptions import Internal
from core.http.call_record import CLIENT_DISCONNECTED, SCOPE_KEY, CallRecord
from core.ids import REQUEST, new_id

API_PREFIX, NATIVE_PATH = "/v1/", "/chat/completions"
_PREFIX = REQUEST.encode()
_match_request_id = re.compile(rb"[!-~]{1,200}").fullmatch


class RequestId:
    """The outermost middleware. `recorder` gets the record of each call when it has ended."""

    def __init__(self, application: ASGIApp, recorder: Recorder) -> None:
        self._application = application
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        id = new_id()
        header = (b"x-request-id", _PREFIX + id.hex.encode())
        path, method = scope["path"][:PATH_LENGTH], scope["method"]
        # browsers ask for the options of a call without credentials: it is none yet
        if not (path.startswith(API_PREFIX) or path == NATIVE_PATH) or method == "OPTIONS":
            await self._application(scope, receive, _with_header(send, header))
            return
        call = scope[SCOPE_KEY] = CallRecord(id, method, path, _client_request_id(scope))

        # no coroutine of its own: there is one message for each piece of a stream
        def send_and_note(message: Any) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
                call.status = message["status"]
            elif not message.get("more_body", False):
                self._end(call, scope)  # now, so that whoever has the answer finds the record
            return send(message)

        try:
            await self._application(scope, receive, send_and_note)
        except asyncio.CancelledError:
            call.fail("interrupted")
            raise
        except Exception:
            call.status = call.status or 500  # the web server answers
            call.fail(Internal.code)
            raise
        finally:
            if not call.has_ended:
                self._end(call, scope)

    def _end(self, call: CallRecord, scope: Scope) -> None:
        if call.status is None:
            call.fail(CLIENT_DISCONNECTED)
        if call.principal is None and call.status != 401:
            # refused before anybody asked who it is: whose it was is looked up later
            secret = find_credentials(scope["headers"]).secret
            call.secret_digest = None if secret is None else digest_of(secret)
        call.end()
        self._recorder.append(call)


def new_request_id() -> bytes:
    return _PREFIX + new_id().hex.encode()


def _with_header(send: Send, header: tuple[bytes, bytes]) -> Send:
    def send_with_id(message: Any) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], header]
        return send(message)

    return send_with_id


def _client_request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _match_request_id(value):
            return bytes(value)
    return b""
