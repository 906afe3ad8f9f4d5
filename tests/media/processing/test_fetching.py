"""Fetching a file: the request, what is kept, redirects, errors and TLS."""

import asyncio
import ssl
from pathlib import Path

import pytest

from media.processing.fetching.exceptions import FetchError
from media.processing.fetching.fetcher import FetchedFile
from tests.support.fake_websites import (
    PICTURE,
    FakeResolver,
    Site,
    Visit,
    fetch_error,
    open_fetcher,
    send_picture,
    website,
    write_certificate,
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


async def test_a_picture_is_fetched_into_a_file(out: Path) -> None:
    async with website(send_picture) as site, open_fetcher() as fetcher:
        fetched = await fetcher.fetch(site.url("/a%20b.png?size=2#top"), out)
        await site.wait_until_left()
    assert fetched == FetchedFile(len(PICTURE), "image/png", "127.0.0.1")
    assert out.read_bytes() == PICTURE
    assert site.visits[0].path == "/a%20b.png?size=2"


async def test_the_request_reveals_nothing_about_us(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def answer(visit: Visit) -> None:
        await visit.answer(PICTURE, Set_Cookie="visitor=1; Path=/")

    async with website(answer) as site, open_fetcher() as fetcher:
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


async def test_a_chunked_body_is_put_together(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(PICTURE), 1000):
            piece = PICTURE[start : start + 1000]
            await visit.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await visit.send(b"0\r\n\r\n")

    async with website(answer) as site, open_fetcher() as fetcher:
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
async def test_the_claimed_content_type_is_a_plain_media_type_or_none(
    out: Path, header: str, expected: str | None
) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(PICTURE, Content_Type=header)

    async with website(answer) as site, open_fetcher() as fetcher:
        assert (await fetcher.fetch(site.url(), out)).content_type == expected


async def test_redirects_are_followed_up_to_the_limit(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        left = int(visit.path[1:])
        if left:
            await visit.answer(b"elsewhere", "302 Found", Location=f"/{left - 1}")
        else:
            await send_picture(visit)

    async with website(answer) as site, open_fetcher(redirects=3) as fetcher:
        await fetcher.fetch(site.url("/3"), out)
        assert out.read_bytes() == PICTURE
        with pytest.raises(FetchError) as refused:
            await fetcher.fetch(site.url("/4"), out)
    assert (refused.value.code, len(site.visits)) == ("fetch_failed", 8)


async def test_a_redirect_loop_ends(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"", "307 Temporary Redirect", Location=visit.path)

    assert (await fetch_error(answer, out)).code == "fetch_failed"


async def test_a_redirect_without_a_location_is_refused(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"", "302 Found")

    assert (await fetch_error(answer, out)).code == "fetch_failed"


async def test_a_full_disk_raises_an_os_error_and_leaves_no_file(out: Path) -> None:
    out.symlink_to("/dev/full")
    async with website(send_picture) as site, open_fetcher() as fetcher:
        with pytest.raises(OSError, match="No space left"):
            await fetcher.fetch(site.url(), out)
        await site.wait_until_left()
    assert not out.is_symlink()


async def test_simultaneous_fetches_from_one_host_are_limited(tmp_path: Path) -> None:
    at_once = 0

    async def answer(visit: Visit) -> None:
        nonlocal at_once
        at_once = max(at_once, site.open)
        await asyncio.sleep(0.02)
        await send_picture(visit)

    async with website(answer) as site, open_fetcher() as fetcher:
        await asyncio.gather(*[fetcher.fetch(site.url(), tmp_path / str(number)) for number in range(12)])
    assert at_once == 4
    assert len(list(tmp_path.iterdir())) == 12


async def test_a_server_that_is_not_listening_is_reported_plainly(out: Path) -> None:
    async with website(send_picture) as site:
        url = site.url()
    async with open_fetcher() as fetcher:
        with pytest.raises(FetchError, match="cannot be reached") as refused:
            await fetcher.fetch(url, out)
    assert refused.value.code == "fetch_failed"
    assert "127.0.0.1" not in refused.value.message


async def test_ipv6_works(out: Path) -> None:
    async with website(send_picture, "::1") as site, open_fetcher() as fetcher:
        await fetcher.fetch(site.url(host="[::1]"), out)
    assert site.visits[0].headers["host"] == f"[::1]:{site.port}"


async def test_each_address_of_a_name_is_tried(out: Path) -> None:
    names = FakeResolver(both_example=[["::1", "127.0.0.1"]])
    async with website(send_picture) as site, open_fetcher(names) as fetcher:
        fetched = await fetcher.fetch(site.url(host="both.example"), out)
    assert fetched.host == "both.example"
    assert site.visits[0].headers["host"] == f"both.example:{site.port}"
    assert names.asked == ["both.example"]


async def fetch_over_tls(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext | None], host: str, out: Path
) -> Site:
    names = FakeResolver(pictures_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    server, client = certificates
    async with website(send_picture, tls=server) as site, open_fetcher(names, tls=client) as fetcher:
        await fetcher.fetch(site.url(host=host, scheme="https"), out)
    return site


async def test_tls_requests_the_name_and_verifies_it(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext], out: Path
) -> None:
    site = await fetch_over_tls(certificates, "pictures.example", out)
    assert site.visits[0].headers["host"] == f"pictures.example:{site.port}"
    assert site.visits[0].server_name == "pictures.example"


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
async def test_a_certificate_for_another_name_is_refused(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext], out: Path, host: str
) -> None:
    with pytest.raises(FetchError, match="cannot be reached"):
        await fetch_over_tls(certificates, host, out)


async def test_an_unknown_certificate_authority_is_refused(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext], out: Path
) -> None:
    for ours in (None, ssl.create_default_context()):
        with pytest.raises(FetchError, match="cannot be reached"):
            await fetch_over_tls((certificates[0], ours), "pictures.example", out)


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server context for pictures.example, and a client context that trusts its authority."""
    path = write_certificate(tmp_path, "pictures.example")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)

    def note_name(connection: ssl.SSLObject, name: str, context: ssl.SSLContext) -> None:
        connection.asked_for = name  # type: ignore[attr-defined]

    server.sni_callback = note_name
    return server, ssl.create_default_context(cafile=path)
