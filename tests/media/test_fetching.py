"""Fetching a file: what is asked, what is kept, and where it ends."""

import asyncio
import gzip
import ssl
from pathlib import Path
from typing import Any

import pytest

from media.fetching import Fetched, FetchProblem, FetchTooLarge
from media.problems import TooLarge
from tests.media.websites import (
    PICTURE,
    Answer,
    Names,
    Site,
    Visit,
    fetching,
    send_picture,
    website,
    write_certificate,
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


async def problem_with(answer: Answer, out: Path, **limits: Any) -> FetchProblem:
    """What is said of a website; the connection is closed and nothing is left of the file."""
    async with website(answer) as site, fetching(**limits) as fetcher:
        with pytest.raises(FetchProblem) as refused:
            await fetcher.fetch(site.url(), out)
        await site.until_left()
    assert not out.exists()
    assert "127.0.0.1" not in refused.value.message
    return refused.value


async def test_a_picture_is_fetched_into_a_file(out: Path) -> None:
    async with website(send_picture) as site, fetching() as fetcher:
        fetched = await fetcher.fetch(site.url("/a%20b.png?size=2#top"), out)
        await site.until_left()
    assert fetched == Fetched(len(PICTURE), "image/png", "127.0.0.1")
    assert out.read_bytes() == PICTURE
    assert site.visits[0].path == "/a%20b.png?size=2"


async def test_the_request_tells_nothing_about_us(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def answer(visit: Visit) -> None:
        await visit.answer(PICTURE, Set_Cookie="visitor=1; Path=/")

    async with website(answer) as site, fetching() as fetcher:
        await fetcher.fetch(site.url(), out)
        await fetcher.fetch(site.url(), out)
    first, second = (visit.headers for visit in site.visits)
    assert first == second
    assert first == {
        "host": f"127.0.0.1:{site.port}",
        "user-agent": "chatapi",
        "accept": "image/*, audio/*, video/*;q=0.8, */*;q=0.1",
        "accept-encoding": "identity",
        "connection": "close",
    }


async def test_a_body_in_chunks_is_put_together(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(PICTURE), 1000):
            piece = PICTURE[start : start + 1000]
            await visit.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await visit.send(b"0\r\n\r\n")

    async with website(answer) as site, fetching() as fetcher:
        assert (await fetcher.fetch(site.url(), out)).size == len(PICTURE)
    assert out.read_bytes() == PICTURE


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Image/PNG; charset=x", "image/png"),
        ("", None),
        ("<script>", None),
        ("image/" + "x" * 100, None),
        ("image/png, text/html", None),
    ],
)
async def test_the_claimed_type_is_a_plain_one_or_none(out: Path, header: str, expected: str | None) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(PICTURE, Content_Type=header)

    async with website(answer) as site, fetching() as fetcher:
        assert (await fetcher.fetch(site.url(), out)).content_type == expected


@pytest.mark.parametrize("status", ["204 No", "206 No", "304 No", "404 No", "500 No"])
async def test_a_status_is_named_and_nothing_else_of_the_answer(out: Path, status: str) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"" if status[:3] in ("204", "304") else b"internal details", status)

    problem = await problem_with(answer, out)
    assert problem.code == "fetch_failed"
    assert problem.message == f"The URL's server answered with status {status[:3]}."


async def test_a_length_over_the_limit_is_refused_at_once(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        await visit.silence()

    problem = await problem_with(answer, out, bytes=1000)
    assert isinstance(problem, FetchTooLarge)
    assert isinstance(problem, TooLarge)
    assert problem.code == "media_too_large"


async def test_the_limit_itself_is_not_over_it(out: Path) -> None:
    async with website(send_picture) as site, fetching(bytes=len(PICTURE)) as fetcher:
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

    problem = await problem_with(answer, out, bytes=2**20)
    assert problem.code == "media_too_large"
    assert sent < 2**24


@pytest.mark.parametrize("length", [4, 1000], ids=["less", "more"])
async def test_a_length_that_promises_another_body_is_not_believed(out: Path, length: int) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nthis and that" % length)

    assert (await problem_with(answer, out)).code == "fetch_failed"


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

    assert (await problem_with(answer, out)).code == "fetch_failed"


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_not_unpacked(out: Path, encoding: str) -> None:
    bomb = gzip.compress(bytes(1_000_000))

    async def answer(visit: Visit) -> None:
        await visit.answer(bomb, Content_Encoding=encoding)

    problem = await problem_with(answer, out)
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
    problem = await asyncio.wait_for(problem_with(answer, out, idle_seconds=0.1), 5)
    assert problem.code == "fetch_timeout"


@pytest.mark.parametrize("answer", [silence, a_header_that_drips, a_body_that_drips, provisional_answers])
async def test_a_slow_server_is_left(out: Path, answer: Answer) -> None:
    problem = await asyncio.wait_for(problem_with(answer, out, seconds=0.3), 5)
    assert problem.code in ("fetch_timeout", "fetch_failed")  # too many headers may come first


async def test_a_slow_name_service_is_left(out: Path) -> None:
    async def look_up(name: str) -> list[str]:
        await asyncio.sleep(60)
        return []

    async with fetching(look_up, seconds=0.1) as fetcher:
        with pytest.raises(FetchProblem) as refused:
            await fetcher.fetch("http://slow.example/", out)
    assert refused.value.code == "fetch_timeout"


async def test_redirects_are_followed_so_far(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        left = int(visit.path[1:])
        if left:
            await visit.answer(b"elsewhere", "302 Found", Location=f"/{left - 1}")
        else:
            await send_picture(visit)

    async with website(answer) as site, fetching(redirects=3) as fetcher:
        await fetcher.fetch(site.url("/3"), out)
        assert out.read_bytes() == PICTURE
        with pytest.raises(FetchProblem) as refused:
            await fetcher.fetch(site.url("/4"), out)
    assert (refused.value.code, len(site.visits)) == ("fetch_failed", 8)


async def test_a_redirect_loop_ends(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"", "307 Temporary Redirect", Location=visit.path)

    assert (await problem_with(answer, out)).code == "fetch_failed"


async def test_a_redirect_to_nowhere_is_refused(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"", "302 Found")

    assert (await problem_with(answer, out)).code == "fetch_failed"


async def test_a_fetch_that_is_cancelled_closes_its_connection(out: Path) -> None:
    async with website(a_body_that_drips) as site, fetching() as fetcher:
        task = asyncio.create_task(fetcher.fetch(site.url(), out))
        async with asyncio.timeout(5):
            while not out.exists():
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await site.until_left()
    assert not out.exists()


async def test_a_full_disk_is_an_os_error_and_leaves_nothing(out: Path) -> None:
    out.symlink_to("/dev/full")
    async with website(send_picture) as site, fetching() as fetcher:
        with pytest.raises(OSError, match="No space left"):
            await fetcher.fetch(site.url(), out)
        await site.until_left()
    assert not out.is_symlink()


async def test_only_so_many_are_fetched_at_once_from_one_host(tmp_path: Path) -> None:
    at_once = 0

    async def answer(visit: Visit) -> None:
        nonlocal at_once
        at_once = max(at_once, site.open)
        await asyncio.sleep(0.02)
        await send_picture(visit)

    async with website(answer) as site, fetching() as fetcher:
        await asyncio.gather(*[fetcher.fetch(site.url(), tmp_path / str(number)) for number in range(12)])
    assert at_once == 4
    assert len(list(tmp_path.iterdir())) == 12


async def test_nobody_listening_is_said_plainly(out: Path) -> None:
    async with website(send_picture) as site:
        url = site.url()
    async with fetching() as fetcher:
        with pytest.raises(FetchProblem, match="cannot be reached") as refused:
            await fetcher.fetch(url, out)
    assert refused.value.code == "fetch_failed"
    assert "127.0.0.1" not in refused.value.message


async def test_ipv6_is_spoken(out: Path) -> None:
    async with website(send_picture, "::1") as site, fetching() as fetcher:
        await fetcher.fetch(site.url(host="[::1]"), out)
    assert site.visits[0].headers["host"] == f"[::1]:{site.port}"


async def test_a_name_is_tried_at_each_of_its_addresses(out: Path) -> None:
    names = Names(both_example=[["::1", "127.0.0.1"]])
    async with website(send_picture) as site, fetching(names) as fetcher:
        fetched = await fetcher.fetch(site.url(host="both.example"), out)
    assert fetched.host == "both.example"
    assert site.visits[0].headers["host"] == f"both.example:{site.port}"
    assert names.asked == ["both.example"]


async def tls_site(certificates: tuple[ssl.SSLContext, ssl.SSLContext], host: str, out: Path) -> Site:
    names = Names(pictures_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    async with website(send_picture, tls=certificates[0]) as site, fetching(names) as fetcher:
        await fetcher.fetch(site.url(host=host, scheme="https"), out)
    return site


async def test_tls_is_asked_for_the_name_and_verified_against_it(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext], out: Path
) -> None:
    site = await tls_site(certificates, "pictures.example", out)
    assert site.visits[0].headers["host"] == f"pictures.example:{site.port}"
    assert site.visits[0].server_name == "pictures.example"


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
async def test_a_certificate_of_another_name_is_refused(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext], out: Path, host: str
) -> None:
    with pytest.raises(FetchProblem, match="cannot be reached"):
        await tls_site(certificates, host, out)


async def test_an_unknown_certificate_authority_is_refused(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", ssl.create_default_context())
    with pytest.raises(FetchProblem, match="cannot be reached"):
        await tls_site(certificates, "pictures.example", out)


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's side for pictures.example, and a client's side that trusts its authority."""
    path = write_certificate(tmp_path, "pictures.example")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    server.sni_callback = lambda connection, name, context: setattr(connection, "asked_for", name)
    client = ssl.create_default_context(cafile=path)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", client)
    return server, client
