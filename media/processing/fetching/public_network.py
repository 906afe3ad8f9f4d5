"""Connections to public addresses, and to nothing else.

A name is looked up once. Every address found must be allowed, and only those addresses are connected to, so
a name that changes its answer gains nothing. Every socket is checked twice more: before it connects, by the
address it is meant for, and before anything is sent, by its actual peer.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from media.processing.fetching.exceptions import FetchFailed, UrlNotAllowed

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Lookup: TypeAlias = Callable[[str], Awaitable[list[str]]]
"""Maps a name to addresses as text. Raises `socket.gaierror`."""

_AddrInfo: TypeAlias = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]

CONNECTIONS = 16
CONNECTIONS_PER_HOST = 4

_RESERVED_IPV4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's metadata: a public address that leads to the host
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_RESERVED_IPV6 = [
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: may contain any IPv4 address
        "3ffe::/16",
        "3fff::/20",
    )
]
_NAT64 = IPv6Network("64:ff9b::/96")


class NetworkPolicy:
    """Allows public addresses and the networks that the operator lists."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def is_listed(self, address: Address) -> bool:
        """Whether the operator's networks include it."""
        return any(address in network for network in self._allowed)

    def allows(self, address: Address) -> bool:
        return self.is_listed(address) or is_public(address)

    def check(self, addresses: list[Address]) -> None:
        """Raise `UrlNotAllowed` unless there are addresses and all are allowed.

        Unknown hosts get the same message: a different one would reveal private names.
        """
        if not addresses or not all(map(self.allows, addresses)):
            raise UrlNotAllowed("The URL's host is unknown or is not a public one.")


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, by IANA's registries of special-purpose addresses.

    IPv4 inside IPv6 is refused, except under NAT64's prefix: where that is used, every IPv4 host has such an
    address, so the IPv4 address inside decides.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _RESERVED_IPV4)
    if address.scope_id is None and address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return (
        address.is_global
        and address.scope_id is None
        and address in _GLOBAL_UNICAST
        and not any(address in network for network in _RESERVED_IPV6)
    )


class ThreadedLookup:
    """The system's resolver in its own threads, so that a slow name server holds up no other work."""

    def __init__(self, getaddrinfo: Callable[..., Iterable[Any]] = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="look-up")

    async def __call__(self, name: str) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self._getaddrinfo(name, None, type=socket.SOCK_STREAM)
        )
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class PublicResolver(AbstractResolver):
    """A resolver for aiohttp that checks all addresses before it returns any."""

    def __init__(self, policy: NetworkPolicy, look_up: Lookup) -> None:
        self._policy = policy
        self._look_up = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            addresses = [ip_address(text) for text in await self._look_up(host)]
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise FetchFailed("The URL's host cannot be looked up at the moment.") from error
            addresses = []
        self._policy.check(addresses)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Do nothing: whoever created the look-up closes it."""


class GuardedConnector(aiohttp.TCPConnector):
    """A connector that opens one connection per request, to addresses that the policy allows.

    `tls` replaces the system's certificate authorities.
    """

    def __init__(self, policy: NetworkPolicy, look_up: Lookup, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(
            ssl=tls or True,
            resolver=PublicResolver(policy, look_up),
            use_dns_cache=False,
            force_close=True,
            limit=CONNECTIONS,
            limit_per_host=CONNECTIONS_PER_HOST,
            socket_factory=self._open_socket,
        )
        self._policy = policy

    def _open_socket(self, info: _AddrInfo) -> socket.socket:
        family, kind, protocol, _, (host, *_) = info
        if not self._policy.allows(ip_address(host)):
            raise PermissionError("not an allowed address")
        return socket.socket(family, kind, protocol)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  (aiohttp's own signature)
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        try:
            self._check_endpoints(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_endpoints(self, connection: Connection) -> None:
        """Check the peer, and refuse a connection from an address to itself.

        However public that address is, such a connection reaches this machine.
        """
        transport = connection.transport
        peer = transport and transport.get_extra_info("peername")
        local = transport and transport.get_extra_info("sockname")
        if not peer or not local:
            raise FetchFailed("The URL's server closed the connection.")
        address = ip_address(peer[0])
        self._policy.check([address])
        if local[0] == peer[0] and not self._policy.is_listed(address):
            raise UrlNotAllowed("URLs of this machine are not fetched.")
