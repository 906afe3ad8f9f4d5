"""Servers that are rude, slow or endless: each is left, and nothing is kept."""

import asyncio
import gzip
from pathlib import Path

import pytest

from media.processing.exceptions import MediaTooLarge
from media.processing.fetching import FetchError, FetchTooLarge
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
async def test_a_status_is_named_and_nothing_else_of_the_answer(out: Path, status: str) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"" if status[:3] in ("204", "304") else b"internal details", status)

    problem = await fetch_error(answer, out)
    assert problem.code == "fetch_failed"
    assert problem.message == f"The URL's server answered with status {status[:3]}."


async def test_a_length_over_the_limit_is_refused_at_once(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        await visit.silence()

    problem = await fetch_error(answer, out, bytes=1000)
    assert isinstance(problem, FetchTooLarge)
    assert isinstance(problem, MediaTooLarge)
    assert problem.code == "media_too_large"


async def test_the_limit_itself_is_not_over_it(out: Path) -> None:
    async with website(send_picture) as site, open_fetcher(bytes=len(PICTURE)) as fetcher:
        assert (await fetcher.fetch(site.url(), out)).size == len(PICTURE)


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"], ids=["until closed", "chunked"])
async def test_an_endless_body_ends_at_the_limit(out: Path, head: bytes) -> None:
    sent = 0

    async def answer(visit: Visit) -> None:
        nonlocal sent
        await visit.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        piece = b"x" * 2**16
        while True:
            await visit.send(b"%x\r\n%b\r\n" % (len(piece), piece) if head else piece)
            sent += len(piece)

    problem = await fetch_error(answer, out, bytes=2**20)
    assert problem.code == "media_too_large"
    assert sent < 2**24


@pytest.mark.parametrize("length", [4, 1000], ids=["less", "more"])
async def test_a_length_that_promises_another_body_is_not_believed(out: Path, length: int) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nthis and that" % length)

    assert (await fetch_error(answer, out)).code == "fetch_failed"


NO_HTTP = {
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


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_no_http_is_refused(out: Path, sent: bytes) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(sent)

    assert (await fetch_error(answer, out)).code == "fetch_failed"


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_not_unpacked(out: Path, encoding: str) -> None:
    bomb = gzip.compress(bytes(1_000_000))

    async def answer(visit: Visit) -> None:
        await visit.answer(bomb, Content_Encoding=encoding)

    problem = await fetch_error(answer, out)
    assert (problem.code, "compressed" in problem.message) == ("fetch_failed", True)


async def silence(visit: Visit) -> None:
    await visit.silence()


async def a_header_that_drips(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await visit.send(b"X: x\r\n")
        await asyncio.sleep(0.02)


async def a_body_that_stops(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
    await visit.silence()


async def a_body_that_drips(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await visit.send(b"x")
        await asyncio.sleep(0.02)


async def provisional_answers(visit: Visit) -> None:
    while True:
        await visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("answer", [silence, a_body_that_stops])
async def test_an_idle_server_is_left(out: Path, answer: Answer) -> None:
    problem = await asyncio.wait_for(fetch_error(answer, out, idle_seconds=0.1), 5)
    assert problem.code == "fetch_timeout"


@pytest.mark.parametrize("answer", [silence, a_header_that_drips, a_body_that_drips, provisional_answers])
async def test_a_slow_server_is_left(out: Path, answer: Answer) -> None:
    problem = await asyncio.wait_for(fetch_error(answer, out, seconds=0.3), 5)
    assert problem.code in ("fetch_timeout", "fetch_failed")  # too many headers may come first


async def test_a_slow_name_service_is_left(out: Path) -> None:
    async def look_up(name: str) -> list[str]:
        await asyncio.sleep(60)
        return []

    async with open_fetcher(look_up, seconds=0.1) as fetcher:
        with pytest.raises(FetchError) as refused:
            await fetcher.fetch("http://slow.example/", out)
    assert refused.value.code == "fetch_timeout"


async def test_a_fetch_that_is_cancelled_closes_its_connection(out: Path) -> None:
    async with website(a_body_that_drips) as site, open_fetcher() as fetcher:
        task = asyncio.create_task(fetcher.fetch(site.url(), out))
        async with asyncio.timeout(5):
            while not out.exists():
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await site.wait_until_left()
    assert not out.exists()
