"""The address of a client: only where the settings say how clients reach the service."""

from typing import Any

import pytest
from django.test import RequestFactory
from pytest_django import Settings
from starlette.types import Receive, Scope, Send

from accounts.client_address import address_group, client_address
from chatapi.serving.server import config_for

PROXY = "10.0.0.7"


async def scope_seen(peer: str, forwarded_for: str | None) -> Scope:
    """Return the scope that an application gets behind our uvicorn."""
    seen: list[Scope] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    config = config_for(application)
    config.load()
    headers = [] if forwarded_for is None else [(b"x-forwarded-for", forwarded_for.encode())]
    scope = {"type": "http", "client": (peer, 4711), "scheme": "http", "headers": headers}
    await config.loaded_app(scope, None, None)
    return seen[0]


async def address_of(peer: str, forwarded_for: str | None = None) -> str | None:
    return client_address(await scope_seen(peer, forwarded_for))


async def test_nobodys_address_is_known_until_the_settings_say_how_clients_come(
    settings: Settings,
) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = []
    assert await address_of("203.0.113.9") is None
    assert await address_of("127.0.0.1", "203.0.113.9") is None


async def test_clients_that_connect_directly_cannot_claim_another_address(settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    assert await address_of("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    assert await address_of("127.0.0.1", "198.51.100.1") == "127.0.0.1"


async def test_a_named_proxy_says_whose_request_it_is(settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = [PROXY, "192.168.0.0/16"]
    assert await address_of(PROXY, "203.0.113.9") == "203.0.113.9"
    assert await address_of("192.168.3.4", "198.51.100.1, 203.0.113.9") == "203.0.113.9"
    assert await address_of("203.0.113.9", "198.51.100.1") == "203.0.113.9", "it did not come from the proxy"
    assert await address_of(PROXY) is None, "the proxy's own address is no client's"
    assert await address_of(PROXY, "unknown") is None


async def test_where_everybody_is_believed_no_address_is(settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["*"]
    assert await address_of(PROXY, "203.0.113.9") is None


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("testserver", None),
        ("203.0.113.9:4711", None),
    ],
)
def test_an_address_has_one_spelling(peer: str, address: str | None, settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer)) == address
    no_client: dict[str, Any] = {"type": "http", "headers": []}
    assert client_address(no_client) is None


def test_an_ipv6_client_is_counted_by_its_network() -> None:
    assert address_group("2001:db8:1:2:3:4:5:6") == address_group("2001:db8:1:2:ffff::1") == "2001:db8:1:2::"
    assert address_group("203.0.113.9") == "203.0.113.9"
