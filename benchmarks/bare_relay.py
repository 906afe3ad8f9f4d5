"""The least that a proxy can be, as a yardstick: a plain ASGI app that stores and checks nothing.

Each event of the upstream is parsed, serialized again and sent on its own. The server, upstream
client and JSON library are the same as the service's.

    python -m benchmarks.bare_relay UPSTREAM_PORT      prints its port, serves until SIGTERM
"""

import socket
import sys

import aiohttp
import msgspec
import uvicorn
from starlette.types import Receive, Scope, Send

_DONE = b"[DONE]"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Relay:
    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        request = _decode(await _read_body(receive))
        async with self._session.post(self._upstream, data=_encode(request)) as response:
            if request.get("stream"):
                await self._relay_stream(response, send)
            else:
                await self._relay_whole(response, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _relay_stream(self, response: aiohttp.ClientResponse, send: Send) -> None:
        await send(_start(b"text/event-stream"))
        rest = b""
        async for data in response.content.iter_any():
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                payload = event.removeprefix(b"data: ")
                again = _DONE if payload == _DONE else _encode(_decode(payload))
                await send({"type": "http.response.body", "body": b"data: %b\n\n" % again, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _relay_whole(self, response: aiohttp.ClientResponse, send: Send) -> None:
        body = _encode(_decode(await response.read()))
        await send(_start(b"application/json", (b"content-length", b"%d" % len(body))))
        await send({"type": "http.response.body", "body": body})


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _start(content_type: bytes, *more: tuple[bytes, bytes]) -> dict[str, object]:
    headers = [(b"content-type", content_type), *more]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def main(upstream_port: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        Relay(f"http://127.0.0.1:{upstream_port}/v1/chat/completions"),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]))
