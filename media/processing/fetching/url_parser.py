"""Reads a URL into its parts, strictly: what browsers and libraries read differently is refused.

Nobody parses the URL again: the address that is checked and connected to, the name that TLS verifies and
the request line are all made from these parts.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, cast
from urllib.parse import quote, urljoin

import idna
import msgspec
from yarl import URL

from media.processing.fetching.exceptions import InvalidUrl, UrlNotAllowed

LONGEST_URL = 8000
LONGEST_NAME = 253
FIRST_FREE_PORT = 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}

# control characters, whitespace, the backslash that some take for a slash, halves of surrogate pairs
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\s\\\ud800-\udfff]")
_SHAPE = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?",
    re.ASCII | re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_KEPT_IN_PATHS = "/%:@!$&'()*+,;=~[]|"
_KEPT_IN_QUERIES = _KEPT_IN_PATHS + "?"


class Target(msgspec.Struct, frozen=True):
    """Where a request goes, in canonical form. `host` is ASCII in lower case, IPv6 without brackets."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str
    """Path and query, percent-encoded."""

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The host where it is an address, None where it is a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def url(self) -> URL:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return URL(f"{self.scheme}://{host}:{self.port}{self.path}", encoded=True)


def parse_url(text: str) -> Target:
    """Raises `InvalidUrl` and `UrlNotAllowed`."""
    if len(text) > LONGEST_URL:
        raise InvalidUrl(f"The URL has more than {LONGEST_URL} characters.")
    if _FORBIDDEN.search(text):
        raise InvalidUrl("The URL contains a space, a backslash or a control character.")
    parts = _SHAPE.fullmatch(text)
    if parts is None:
        raise InvalidUrl("This is not a URL such as https://example.com/picture.png.")
    scheme = _scheme(parts["scheme"].lower())
    host, port = _authority(parts["authority"])
    path, query = parts["path"] or "/", parts["query"] or ""
    return Target(
        scheme,
        host,
        _DEFAULT_PORTS[scheme] if port is None else _port(port),
        quote(path, safe=_KEPT_IN_PATHS) + quote(query, safe=_KEPT_IN_QUERIES),
    )


def follow(target: Target, location: str) -> Target:
    """Where a redirect leads, checked as any other URL. Raises `InvalidUrl` and `UrlNotAllowed`."""
    if _FORBIDDEN.search(location):
        raise InvalidUrl("The URL redirects to something that is none.")
    try:
        absolute = urljoin(str(target.url), location)
    except ValueError as error:
        raise InvalidUrl("The URL redirects to something that is none.") from error
    found = parse_url(absolute)
    if target.scheme == "https" and found.scheme == "http":
        raise UrlNotAllowed("The URL redirects from https to http.")
    return found


def _scheme(scheme: str) -> Literal["http", "https"]:
    if scheme not in _DEFAULT_PORTS:
        raise UrlNotAllowed("Only http and https URLs are fetched.")
    return cast("Literal['http', 'https']", scheme)


def _authority(authority: str) -> tuple[str, str | None]:
    if "@" in authority:
        raise UrlNotAllowed("URLs with a user name or a password are not fetched.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise InvalidUrl("The URL's host or port is not valid.")
    return _host(parts["host"]), parts["port"]


def _port(digits: str) -> int:
    """Web servers' own ports and those that need no privilege: none of mail, DNS, SSH and the like."""
    port = int(digits)
    if not 0 < port < 65536:
        raise InvalidUrl("The URL's host or port is not valid.")
    if port < FIRST_FREE_PORT and port not in _DEFAULT_PORTS.values():
        raise UrlNotAllowed(f"URLs with port {port} are not fetched.")
    return port


def _host(text: str) -> str:
    try:
        if text.startswith("["):
            return str(IPv6Address(text[1:-1]))
        name = _ascii(text).removesuffix(".")
        *_, last = labels = name.split(".")
        if _NUMBER.fullmatch(last):  # 127.1, 2130706433, 0x7f.1: only the common spelling is taken
            return str(IPv4Address(name))
    except ValueError as error:
        raise InvalidUrl("The URL's host is not valid.") from error
    if len(name) > LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise InvalidUrl("The URL's host is not valid.")
    if last == "localhost":
        raise UrlNotAllowed("URLs of this machine are not fetched.")
    return name


def _ascii(host: str) -> str:
    """The name as DNS knows it. Raises `ValueError`."""
    if len(host) > LONGEST_NAME + 1:
        raise ValueError("too long")
    return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode().lower()
