"""The client's network address, where it is truly known."""

from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

IPV6_PREFIX = 64
"""What one customer usually has of IPv6."""


def client_address(request: HttpRequest) -> str | None:
    """Return the client's address; None unless CHATAPI_TRUSTED_PROXIES says whose word is true about it."""
    if not settings.CHATAPI_TRUSTED_PROXIES:
        return None
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return None
    return str((address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address)


def address_group(request: HttpRequest) -> str | None:
    """Return the client's address for counting: of IPv6 the network that one customer has."""
    address = client_address(request)
    if address is None or ":" not in address:
        return address
    return str(ip_network(f"{address}/{IPV6_PREFIX}", strict=False))
