"""No URL leads to a non-public address, however it is written, redirected or resolved."""

import asyncio
import socket
import threading
import time
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.processing.fetching.exceptions import FetchError, UrlNotAllowed
from media.processing.fetching.fetcher import Fetcher
from media.processing.fetching.public_network import (
    Address,
    GuardedConnector,
    Lookup,
    NetworkPolicy,
    ThreadedLookup,
    is_public,
)
from tests.support.examples import examples
from tests.support.fake_websites import FakeResolver, Visit, open_fetcher, send_picture, website
from tests.support.ip_addresses import PRIVATE, PUBLIC, SPELLINGS


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that connections were attempted to; all of them are refused."""
    tried: list[str] = []

    async def sock_connect(loop: object, sock: socket.socket, address: tuple[Any, ...]) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    return tried


def guarded_session(policy: NetworkPolicy, look_up: Lookup | None = None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=GuardedConnector(policy, look_up or FakeResolver()))


async def refusal(fetcher: Fetcher, url: str, out: Path) -> FetchError:
    with pytest.raises(FetchError) as refused:
        await fetcher.fetch(url, out)
    assert not out.exists()
    return refused.value


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("host", SPELLINGS)
async def test_this_machine_is_not_reached_however_its_address_is_written(
    out: Path, attempts: list[str], host: str
) -> None:
    async with open_fetcher(ThreadedLookup(), allowed=()) as fetcher:
        error = await refusal(fetcher, f"http://{host}:8000/latest/meta-data", out)
    assert error.code in ("invalid_url", "url_not_allowed")
    assert attempts == []


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_for_a_private_address_is_refused(out: Path, attempts: list[str], address: str) -> None:
    async with open_fetcher(FakeResolver(inside_example=[[address]]), allowed=()) as fetcher:
        error = await refusal(fetcher, "http://inside.example/", out)
    assert error.code == "url_not_allowed"
    assert attempts == []


async def test_a_private_name_and_an_unknown_one_are_refused_alike(out: Path) -> None:
    names = FakeResolver(inside_example=[["10.0.0.1"]], empty_example=[[]])
    async with open_fetcher(names, allowed=()) as fetcher:
        inside, empty, unknown, literal = [
            await refusal(fetcher, f"http://{host}/", out)
            for host in ("inside.example", "empty.example", "unknown.example", "10.0.0.1")
        ]
    assert inside.message == empty.message == unknown.message == literal.message
    assert "10." not in inside.message


async def test_a_dns_outage_is_not_reported_as_a_forbidden_url(out: Path) -> None:
    async def down(name: str) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async with open_fetcher(down) as fetcher:
        assert (await refusal(fetcher, "http://example.com/", out)).code == "fetch_failed"


@pytest.mark.parametrize(
    "addresses", [["8.8.8.8", "10.0.0.1"], ["::1", "8.8.8.8"], ["8.8.8.8", "fe80::1%lo"]]
)
async def test_one_private_address_is_enough_to_refuse_a_name(
    out: Path, attempts: list[str], addresses: list[str]
) -> None:
    async with open_fetcher(FakeResolver(mixed_example=[addresses]), allowed=()) as fetcher:
        assert (await refusal(fetcher, "http://mixed.example/", out)).code == "url_not_allowed"
    assert attempts == []


async def test_a_name_that_changes_its_answer_is_connected_to_at_the_checked_addresses(
    out: Path, attempts: list[str]
) -> None:
    names = FakeResolver(rebinding_example=[["8.8.8.8", "2606:4700::1111"], ["127.0.0.1"]])
    async with open_fetcher(names, allowed=()) as fetcher:
        assert (await refusal(fetcher, "http://rebinding.example/", out)).code == "fetch_failed"
        assert sorted(attempts) == ["2606:4700::1111", "8.8.8.8"]
        assert names.asked == ["rebinding.example"]
        assert (await refusal(fetcher, "http://rebinding.example/", out)).code == "url_not_allowed"
    assert len(attempts) == 2


async def test_a_name_that_changes_between_redirects_is_checked_again(out: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"", "302 Found", Location="/next")

    names = FakeResolver(rebinding_example=[["127.0.0.1"], ["169.254.169.254"]])
    async with website(answer) as site, open_fetcher(names) as fetcher:
        error = await refusal(fetcher, site.url(host="rebinding.example"), out)
    assert error.code == "url_not_allowed"
    assert [visit.path for visit in site.visits] == ["/picture.png"]


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://169.254.169.254/latest/meta-data", "url_not_allowed"),
        ("http://10.0.0.1:{port}/", "url_not_allowed"),
        ("http://[::ffff:127.0.0.1]:{port}/", "url_not_allowed"),
        ("http://127.0.0.2:{port}/", "url_not_allowed"),
        ("//inside.example:{port}/", "url_not_allowed"),
        ("http://localhost:{port}/", "url_not_allowed"),
        ("http://127.0.0.1:22/", "url_not_allowed"),
        ("http://user@127.0.0.1:{port}/", "url_not_allowed"),
        ("file:///etc/passwd", "url_not_allowed"),
        ("http://2130706433:{port}/", "invalid_url"),
        ("http://127.1:{port}/", "invalid_url"),
    ],
)
async def test_a_redirect_to_a_private_address_is_refused(out: Path, location: str, code: str) -> None:
    async def answer(visit: Visit) -> None:
        await visit.answer(b"", "302 Found", Location=location.format(port=site.port))

    async with website(answer, "0.0.0.0") as site:
        async with open_fetcher(FakeResolver(inside_example=[["127.0.0.3"]])) as fetcher:
            error = await refusal(fetcher, site.url(), out)
        await site.wait_until_left()
    assert error.code == code
    assert site.connections == 1
    assert not any(digit in error.message for digit in ("127", "169", "10."))


async def test_the_operators_networks_are_allowed_and_no_others(out: Path, attempts: list[str]) -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    async with open_fetcher(
        FakeResolver(inside_example=[["10.1.2.3", "fd00:1::5"]]), allowed=allowed
    ) as fetcher:
        await refusal(fetcher, "http://inside.example/", out)
        await refusal(fetcher, "http://[fd00:1::5]/", out)
        assert attempts == ["10.1.2.3", "fd00:1::5", "fd00:1::5"]
        assert (await refusal(fetcher, "http://10.2.0.1/", out)).code == "url_not_allowed"
    assert len(attempts) == 3


class EverythingIsPublic(NetworkPolicy):
    def allows(self, address: Address) -> bool:
        return True


async def test_this_machines_own_public_address_is_refused() -> None:
    async with website(send_picture) as site, guarded_session(EverythingIsPublic()) as session:
        with pytest.raises(UrlNotAllowed, match="URLs of this machine"):
            await session.get(site.url())
        await site.wait_until_left()
    assert (site.connections, site.visits) == (1, [])


async def test_nothing_is_sent_over_a_diverted_connection(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = asyncio.SelectorEventLoop.sock_connect

    async def diverted(loop: Any, sock: socket.socket, address: tuple[str, int]) -> None:
        sock.bind(("127.0.0.2", 0))
        await connect(loop, sock, ("127.0.0.1", address[1]))

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", diverted)
    async with website(send_picture) as site, open_fetcher(allowed=()) as fetcher:
        error = await refusal(fetcher, site.url(host="8.8.8.8"), out)
        await site.wait_until_left()
    assert error.code == "url_not_allowed"
    assert (site.connections, site.visits) == (1, [])


class Unchecked(NetworkPolicy):
    def check(self, addresses: list[Address]) -> None:
        pass


async def test_a_socket_for_a_private_address_is_not_even_opened(attempts: list[str]) -> None:
    """Even if the policy check were bypassed."""
    names = FakeResolver(inside_example=[["10.0.0.1", "::1"]])
    async with guarded_session(Unchecked(), names) as session:
        for url in ("http://inside.example/", "http://127.0.0.1/"):
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await session.get(url)
            assert isinstance(refused.value.os_error, PermissionError)
    assert attempts == []


async def test_names_are_looked_up_in_threads() -> None:
    used: list[str] = []

    def getaddrinfo(name: str, *args: object, **kwargs: object) -> list[Any]:
        used.append(threading.current_thread().name)
        time.sleep(0.2)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 0))]

    look_up = ThreadedLookup(getaddrinfo)
    waiting = asyncio.create_task(look_up("example.com"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert await waiting == ["8.8.8.8"]
    assert used == ["look-up_0"]
    look_up.close()


async def test_lookups_know_the_systems_own_names() -> None:
    look_up = ThreadedLookup()
    assert set(await look_up("localhost")) <= {"127.0.0.1", "::1"}
    look_up.close()


ADDRESSES = st.one_of(st.sampled_from(PUBLIC + PRIVATE), st.ip_addresses().map(str))
HOSTS = st.one_of(
    st.sampled_from(SPELLINGS),
    ADDRESSES.map(lambda text: f"[{text}]" if ":" in text else text),
    st.sampled_from(["a.example", "b.example", "xn--bcher-kva.example", "example"]),
    st.text(max_size=12),
)
URLS = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["http", "https", "Http"]),
        HOSTS,
        st.sampled_from(["", ":80", ":8080", ":22"]),
        st.text(max_size=8).map(lambda text: "/" + text),
    ),
)


@settings(max_examples=examples(100))
@given(URLS, st.lists(ADDRESSES, max_size=3))
def test_any_url_fails_and_reaches_only_public_addresses(url: str, answers: list[str]) -> None:
    tried: list[str] = []

    class Loop(asyncio.SelectorEventLoop):
        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            tried.append(address[0])
            raise ConnectionRefusedError

    async def look_up(name: str) -> list[str]:
        return answers

    async def fetch() -> None:
        async with open_fetcher(look_up, allowed=()) as fetcher:
            with pytest.raises(FetchError):
                await fetcher.fetch(url, Path("/nowhere/at/all"))

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(fetch())
    assert all(is_public(ip_address(address)) for address in tried)


def test_connections_are_not_reused_and_dns_answers_not_cached() -> None:
    async def connector_options() -> tuple[bool, bool]:
        connector = GuardedConnector(NetworkPolicy(), FakeResolver())
        options = connector.force_close, connector.use_dns_cache
        await connector.close()
        return options

    assert asyncio.run(connector_options()) == (True, False)
