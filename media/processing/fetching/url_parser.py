"""Parses a URL strictly: whatever browsers and libraries read differently is refused.

Nothing parses the URL again: the address that is checked and connected to, the name that TLS verifies and
the request line are all built from these parts.
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

# control characters, whitespace, the backslash (some take it for a slash), halves of surrogate pairs
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\s\\\ud800-\udfff]")
_SHAPE = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?",
    re.ASCII | re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SAFE_IN_PATHS = "/%:@!$&'()*+,;=~[]|"
_SAFE_IN_QUERIES = _SAFE_IN_PATHS + "?"


class Target(msgspec.Struct, frozen=True):
    """Where a request goes, in canonical form.

    `host` is ASCII in lowercase; an IPv6 address has no brackets.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str
    """Path and query, percent-encoded."""

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The host if it is an address, None if it is a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def url(self) -> URL:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return URL(f"{self.scheme}://{host}:{self.port}{self.path}", encoded=True)


def parse_url(text: str) -> Target:
    """Parse a URL into the target of a request. Raises `InvalidUrl` and `UrlNotAllowed`."""
    if len(text) > LONGEST_URL:
        raise InvalidUrl(f"The URL has more than {LONGEST_URL} characters.")
    if _FORBIDDEN.search(text):
        raise InvalidUrl("The URL contains a space, a backslash or a control character.")
    parts = _SHAPE.fullmatch(text)
    if parts is None:
        raise InvalidUrl("This is not a URL such as https://example.com/picture.png.")
    scheme = _check_scheme(parts["scheme"].lower())
    host, port = _split_authority(parts["authority"])
    path, query = parts["path"] or "/", parts["query"] or ""
    if query == "?":  # the HTTP client would not send it, so the canonical form leaves it out too
        query = ""
    return Target(
        scheme,
        host,
        _DEFAULT_PORTS[scheme] if port is None else _parse_port(port),
        quote(path, safe=_SAFE_IN_PATHS) + quote(query, safe=_SAFE_IN_QUERIES),
    )


def resolve_redirect(target: Target, location: str) -> Target:
    """Return the target of a redirect, checked like any other URL.

    Raises `InvalidUrl` and `UrlNotAllowed`.
    """
    if _FORBIDDEN.search(location):
        raise InvalidUrl("The URL redirects to something that is none.")
    try:
        absolute = urljoin(str(target.url), location)
    except ValueError as error:
        raise InvalidUrl("The URL redirects to something that is none.") from error
    redirected = parse_url(absolute)
    if target.scheme == "https" and redirected.scheme == "http":
        raise UrlNotAllowed("The URL redirects from https to http.")
    return redirected


def _check_scheme(scheme: str) -> Literal["http", "https"]:
    if scheme not in _DEFAULT_PORTS:
        raise UrlNotAllowed("Only http and https URLs are fetched.")
    return cast("Literal['http', 'https']", scheme)


def _split_authority(authority: str) -> tuple[str, str | None]:
    if "@" in authority:
        raise UrlNotAllowed("URLs with a user name or a password are not fetched.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise InvalidUrl("The URL's host or port is not valid.")
    return _normalize_host(parts["host"]), parts["port"]


def _parse_port(digits: str) -> int:
    """Accept only the web's own ports and unprivileged ones: not mail, DNS, SSH and the like."""
    port = int(digits)
    if not 0 < port < 65536:
        raise InvalidUrl("The URL's host or port is not valid.")
    if port < FIRST_FREE_PORT and port not in _DEFAULT_PORTS.values():
        raise UrlNotAllowed(f"URLs with port {port} are not fetched.")
    return port


def _normalize_host(text: str) -> str:
    try:
        if text.startswith("["):
            return str(IPv6Address(text[1:-1]))
        name = _to_ascii(text).removesuffix(".")
        *_, last = labels = name.split(".")
        if _NUMBER.fullmatch(last):  # 127.1, 2130706433, 0x7f.1: only the common notation is accepted
            return str(IPv4Address(name))
    except ValueError as error:
        raise InvalidUrl("The URL's host is not valid.") from error
    if len(name) > LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise InvalidUrl("The URL's host is not valid.")
    if last == "localhost":
        raise UrlNotAllowed("URLs of this machine are not fetched.")
    return name


def _to_ascii(host: str) -> str:
    """Return the name as DNS knows it. Raises `ValueError`."""
    if len(host) > LONGEST_NAME + 1:
        raise ValueError("too long")
    return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode().lower()
