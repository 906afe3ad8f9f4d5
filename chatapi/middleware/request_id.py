"""`x-request-id` on every response: the client's own if it sent one, else a new one."""

import re
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from core.ids import new_id

_match_request_id = re.compile(rb"[!-~]{1,200}").fullmatch


class RequestId:
    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request_id = _client_request_id(scope) or new_request_id()

        async def send_with_id(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        await self._application(scope, receive, send_with_id)


def new_request_id() -> bytes:
    return b"req_" + new_id().hex.encode()


def _client_request_id(scope: Any) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _match_request_id(value):
            return bytes(value)
    return None
