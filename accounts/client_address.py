"""The address of a request's client, where it is truly known.

Behind a proxy that `CHATAPI_TRUSTED_PROXIES` does not name, everybody has the proxy's address.
"""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings

DIRECT = "none"
"""The word that says that clients connect directly, without a proxy."""
EVERYBODY = "*"


def trusted_proxies() -> list[str]:
    """Return the proxies whose forwarding headers are believed."""
    proxies: list[str] = settings.CHATAPI_TRUSTED_PROXIES
    return [proxy for proxy in proxies if proxy != DIRECT]


def is_address_known() -> bool:
    """Tell whether the settings say how clients reach the service.

    Where everybody is believed (`*`), clients may claim any address, so none is known.
    """
    return bool(settings.CHATAPI_TRUSTED_PROXIES) and EVERYBODY not in settings.CHATAPI_TRUSTED_PROXIES


def client_address(source: Any) -> str | None:
    """Return the address of the client of a Django request or of an ASGI scope; None if it is not known."""
    return known_address(peer_of(source)) if is_address_known() else None


def peer_of(source: Any) -> str:
    """Return what the server says is the client's address, be that true or not."""
    if isinstance(source, dict):
        client = source.get("client")
        return client[0] if client else ""
    return str(source.META.get("REMOTE_ADDR") or "")


def known_address(peer: str) -> str | None:
    """Return the client's address, in its usual spelling; None for a proxy's own, and for what is none."""
    if not is_address_known():
        return None
    return _own_address(peer, tuple(trusted_proxies()))


def address_group(address: str) -> str:
    """Return what to count a client by: an IPv4 address, or the /64 network that one IPv6 client has."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)


def unusable_proxies() -> list[str]:
    """Return what is named as a proxy but is no address, no network and none of the words.

    A host's name would never match, so that its address would be taken for everybody's.
    """
    named = (proxy for proxy in trusted_proxies() if proxy != EVERYBODY)
    return [proxy for proxy in named if not _networks((proxy,))]


@lru_cache(maxsize=10_000)
def _own_address(peer: str, proxies: tuple[str, ...]) -> str | None:
    try:
        address = ip_address(peer)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(int(address))  # without a scope such as %eth0
    return None if any(address in network for network in _networks(proxies)) else str(address)


@lru_cache(maxsize=16)
def _networks(proxies: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    networks = []
    for proxy in proxies:
        try:
            networks.append(ip_network(proxy, strict=False))
        except ValueError:  # the system check says so
            continue
    return networks
