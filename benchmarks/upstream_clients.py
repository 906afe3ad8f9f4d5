"""HTTP clients side by side (docs/decisions/0002-upstream-client.md), each in a process of its own.

    python -m benchmarks.upstream_clients [--rounds 5] aiohttp httpx httpx2 pyreqwest

Needs an environment in which those are installed. Makes 16 calls at a time; the same code splits off
and decodes each event for all clients.
"""

import argparse
import asyncio
import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

from benchmarks.processes import ROOT
from benchmarks.target_servers import start_upstream

CONNECTIONS = 16
SECONDS = 2.0
EVENTS = 101
_HEADERS = {"Content-Type": "application/json"}
_decode = msgspec.json.Decoder().decode


class Calls(NamedTuple):
    """What a client can do: `stream` yields bytes as they come, `whole` returns the whole answer."""

    stream: Callable[[bytes], AsyncIterator[bytes]]
    whole: Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def _aiohttp(url: str) -> AsyncIterator[Calls]:
    aiohttp: Any = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=_HEADERS) as session:

        async def stream(body: bytes) -> AsyncIterator[bytes]:
            async with session.post(url, data=body) as response:
                async for data in response.content.iter_any():
                    yield data

        async def whole(body: bytes) -> bytes:
            async with session.post(url, data=body) as response:
                return bytes(await response.read())

        yield Calls(stream, whole)


def _httpx(module: str) -> Callable[[str], Any]:
    @asynccontextmanager
    async def client(url: str) -> AsyncIterator[Calls]:
        httpx: Any = importlib.import_module(module)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(timeout=60, limits=limits, headers=_HEADERS) as session:

            async def stream(body: bytes) -> AsyncIterator[bytes]:
                async with session.stream("POST", url, content=body) as response:
                    async for data in response.aiter_raw():
                        yield data

            async def whole(body: bytes) -> bytes:
                return bytes((await session.post(url, content=body)).content)

            yield Calls(stream, whole)

    return client


@asynccontextmanager
async def _pyreqwest(url: str) -> AsyncIterator[Calls]:
    pyreqwest: Any = importlib.import_module("pyreqwest.client")
    async with pyreqwest.ClientBuilder().http1_only().default_headers(_HEADERS).build() as session:

        async def stream(body: bytes) -> AsyncIterator[bytes]:
            async with session.post(url).body_bytes(body).build_streamed() as response:
                while (data := await response.body_reader.read_chunk()) is not None:
                    yield bytes(data)

        async def whole(body: bytes) -> bytes:
            response = await session.post(url).body_bytes(body).build().send()
            return bytes(await response.bytes())

        yield Calls(stream, whole)


CLIENTS: dict[str, Callable[[str], Any]] = {
    "aiohttp": _aiohttp,
    "httpx": _httpx("httpx"),
    "httpx2": _httpx("httpx2"),
    "pyreqwest": _pyreqwest,
}


async def _read_stream(calls: Calls, body: bytes) -> None:
    events, rest = 0, b""
    async for data in calls.stream(body):
        *complete, rest = (rest + data).split(b"\n\n")
        events += len(complete)
        for event in complete:
            if event != b"data: [DONE]":
                _decode(event[6:])
    if events != EVENTS:
        raise SystemExit(f"{events} events instead of {EVENTS}")


async def _read_whole(calls: Calls, body: bytes) -> None:
    _decode(await calls.whole(body))


async def _measure(client: str, kind: str, url: str) -> tuple[float, float]:
    """Calls per second, and milliseconds of CPU per call."""
    call = _read_stream if kind == "streams" else _read_whole
    messages = [{"role": "user", "content": "Why is the sky blue?"}]
    body = msgspec.json.encode({"model": "fake", "stream": kind == "streams", "messages": messages})
    done = 0

    async def repeat(calls: Calls, until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await call(calls, body)
            done += 1

    async with CLIENTS[client](url) as calls:
        await asyncio.gather(*(call(calls, body) for _ in range(CONNECTIONS)))
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(repeat(calls, began + SECONDS) for _ in range(CONNECTIONS)))
        return done / (time.perf_counter() - began), (time.process_time() - cpu) / done * 1000


def _compare(clients: list[str], rounds: int) -> None:
    seen: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        upstream = start_upstream(Path(folder))
        url = f"http://127.0.0.1:{upstream.port}/v1/chat/completions"
        try:
            for _ in range(rounds):
                for client in clients:
                    for kind in ("streams", "plain"):
                        command = [
                            sys.executable,
                            "-m",
                            "benchmarks.upstream_clients",
                            "--one",
                            kind,
                            url,
                            client,
                        ]
                        output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
                        seen.setdefault((client, kind), []).append(msgspec.json.decode(output))
        finally:
            upstream.process.stop()
    for (client, kind), results in seen.items():
        rates = [rate for rate, _ in results]
        cpu = statistics.median(milliseconds for _, milliseconds in results)
        spread = f"[{min(rates):,.0f}–{max(rates):,.0f}]"
        print(f"{client:10} {kind:8} {statistics.median(rates):8,.0f}/s {spread:18} {cpu:7.3f} ms CPU each")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstream_clients", description=__doc__)
    parser.add_argument("clients", nargs="+", choices=CLIENTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(msgspec.json.encode(uvloop.run(_measure(arguments.clients[0], *arguments.one))).decode())
    else:
        _compare(arguments.clients, arguments.rounds)


if __name__ == "__main__":
    main()
