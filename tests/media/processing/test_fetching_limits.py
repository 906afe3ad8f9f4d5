"""Servers that misbehave, are slow or never stop: each is abandoned, and nothing is kept."""

import asyncio
import gzip
from pathlib import Path

import pytest

from media.processing.exceptions import MediaTooLarge
from media.processing.fetching.exceptions import FetchError, FetchTooLarge
from tests.support.fake_websites import (
    PICTURE,
    Answer,
    Visit,
    fetch_error,
    open_fetcher,
    send_picture,
    website,
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


@pytest.mark.parametrize("status", ["204 No", "206 No", "304 No", "404 No", "500 No"])
async def test_only_the_status_of_an_error_response_is_reported(out: Path, status: str) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"" if status[:3] in ("204", "304") else b"internal details", status)

    error = await fetch_error(answer, out)
    assert error.code == "fetch_failed"
    assert error.message == f"The URL's server answered with status {status[:3]}."


async def test_a_length_over_the_limit_is_refused_at_once(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        await visit.silence()

    error = await fetch_error(answer, out, bytes=1000)
    assert isinstance(error, FetchTooLarge)
    assert isinstance(error, MediaTooLarge)
    assert error.code == "media_too_large"


async def test_a_body_of_exactly_the_limit_is_accepted(out: Path) -> None:
    async with website(send_picture) as site, open_fetcher(bytes=len(PICTURE)) as fetcher:
        assert (await fetcher.fetch(site.url(), out)).size == len(PICTURE)


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"], ids=["until closed", "chunked"])
async def test_an_endless_body_is_refused_at_the_limit(out: Path, head: bytes) -> None:
    sent = 0

    async def answer(visit: Visit) -> None:
        nonlocal sent
        await visit.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        piece = b"x" * 2**16
        while True:
            await visit.send(b"%x\r\n%b\r\n" % (len(piece), piece) if head else piece)
            sent += len(piece)

    error = await fetch_error(answer, out, bytes=2**20)
    assert error.code == "media_too_large"
    assert sent < 2**24


@pytest.mark.parametrize("length", [4, 1000], ids=["less", "more"])
async def test_a_length_that_does_not_match_the_body_is_refused(out: Path, length: int) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nthis and that" % length)

    assert (await fetch_error(answer, out)).code == "fetch_failed"


NOT_HTTP = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "length no number": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "length negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length absurd": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "chunk no number": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "chunk broken off": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "a huge header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**20 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100_000 + b"\r\n",
    "a huge status line": b"HTTP/1.1 200 " + b"O" * 2**20 + b"\r\n\r\n",
}


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_what_is_not_http_is_refused(out: Path, sent: bytes) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(sent)

    assert (await fetch_error(answer, out)).code == "fetch_failed"


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_not_unpacked(out: Path, encoding: str) -> None:
    bomb = gzip.compress(bytes(1_000_000))

    async def answer(visit: Visit) -> None:
        await visit.answer(bomb, Content_Encoding=encoding)

    error = await fetch_error(answer, out)
    assert (error.code, "compressed" in error.message) == ("fetch_failed", True)


async def silence(visit: Visit) -> None:
    await visit.silence()


async def dripping_headers(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await visit.send(b"X: x\r\n")
        await asyncio.sleep(0.02)


async def stalled_body(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
    await visit.silence()


async def dripping_body(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await visit.send(b"x")
        await asyncio.sleep(0.02)


async def provisional_responses(visit: Visit) -> None:
    while True:
        await visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("answer", [silence, stalled_body])
async def test_an_idle_server_is_abandoned(out: Path, answer: Answer) -> None:
    error = await asyncio.wait_for(fetch_error(answer, out, idle_seconds=0.1, seconds=60), 30)
    assert error.code == "fetch_timeout"


@pytest.mark.parametrize("answer", [silence, dripping_headers, dripping_body, provisional_responses])
async def test_a_slow_server_is_abandoned(out: Path, answer: Answer) -> None:
    error = await asyncio.wait_for(fetch_error(answer, out, seconds=0.3, idle_seconds=60), 30)
    assert error.code in ("fetch_timeout", "fetch_failed")  # may fail on too many headers first


async def test_a_slow_name_lookup_is_abandoned(out: Path) -> None:
    async def look_up(name: str) -> list[str]:
        await asyncio.sleep(60)
        return []

    async with open_fetcher(look_up, seconds=0.1) as fetcher:
        with pytest.raises(FetchError) as refused:
            await fetcher.fetch("http://slow.example/", out)
    assert refused.value.code == "fetch_timeout"


async def test_a_cancelled_fetch_closes_its_connection(out: Path) -> None:
    async with website(dripping_body) as site, open_fetcher() as fetcher:
        task = asyncio.create_task(fetcher.fetch(site.url(), out))
        async with asyncio.timeout(30):
            while not out.exists():
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await site.wait_until_left()
    assert not out.exists()
