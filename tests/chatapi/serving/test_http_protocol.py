"""The HTTP protocol finds the same requests in the same bytes, in whatever pieces these come."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from chatapi.serving.http_protocol import BoundedHttpProtocol

BYTES = (
    b"POST /one HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nGET /"
    b"GET /two HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    b"POST /three HTTP/1.1\r\nUpgrade: x\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nPUT\r\n2\r\n /\r\n0\r\nTrailer: upgrade\r\n\r\n"
    b"GET /four HTTP/1.1\r\n\r\n"
)
REQUESTS = [("/one", b"GET /"), ("/two", b""), ("/three", b"PUT /"), ("/four", b"")]


class FakeTransport(asyncio.Transport):
    def write(self, data: Any) -> None: ...
    def close(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return False


async def found_in(*packets: bytes) -> list[tuple[str, bytes]]:
    """The paths and bodies of the requests that the application gets."""
    found: list[tuple[str, bytes]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        found.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    state, config = ServerState(), uvicorn.Config(application, log_config=None, access_log=False)
    protocol = BoundedHttpProtocol(config, state, {})
    protocol.connection_made(FakeTransport())
    for packet in packets:
        protocol.data_received(packet)
        await asyncio.sleep(0)
    while state.tasks:
        await asyncio.wait(state.tasks)
    protocol.connection_lost(None)
    return found


def test_requests_that_ask_to_upgrade_are_found_wherever_they_are_split() -> None:
    async def split_everywhere() -> None:
        for cut in range(1, len(BYTES)):
            assert await found_in(BYTES[:cut], BYTES[cut:]) == REQUESTS, BYTES[:cut]
        assert await found_in(*(BYTES[n : n + 1] for n in range(len(BYTES)))) == REQUESTS

    asyncio.run(split_everywhere())
