"""Fetches one file from a user-supplied URL."""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import aiohttp
import msgspec

from media.processing.fetching.exceptions import FetchFailed, FetchTimedOut, FetchTooLarge
from media.processing.fetching.public_network import (
    GuardedConnector,
    Lookup,
    Network,
    NetworkPolicy,
    ThreadedLookup,
)
from media.processing.fetching.url_parser import Target, parse_url, resolve_redirect

logger = logging.getLogger(__name__)

_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES = 2**18
_MEDIA_TYPE = re.compile(r"\s*([\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64})\s*(?:;|$)", re.ASCII)
_HEADERS = {
    "User-Agent": "chatapi",
    "Accept": "image/*, audio/*, video/*;q=0.8, */*;q=0.1",
    "Accept-Encoding": "identity",
}


class FetchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on one fetch.

    `seconds` covers all of it, including the wait for a free connection and every redirect; `connect_seconds`
    covers connecting to one address, TLS included; `idle_seconds` covers the wait for the next byte.
    """

    bytes: int = 20 * 2**20
    seconds: float = 20
    connect_seconds: float = 5
    idle_seconds: float = 5
    redirects: int = 3


class FetchedFile(msgspec.Struct, frozen=True):
    size: int
    content_type: str | None
    """What the server claims, in lowercase and without parameters: a hint, never to be trusted."""
    host: str
    """The host that it came from, after redirects."""


class Fetcher:
    """Fetches files. Create one per process, in the loop that uses it.

    `look_up` replaces the system's resolver, and `tls` its certificate authorities.
    """

    def __init__(
        self,
        limits: FetchLimits | None = None,
        *,
        allowed_networks: Iterable[Network] = (),
        look_up: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits or FetchLimits()
        self._policy = NetworkPolicy(allowed_networks)
        self._threads = ThreadedLookup()
        self._session = aiohttp.ClientSession(
            connector=GuardedConnector(self._policy, look_up or self._threads, tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._limits.connect_seconds, sock_read=self._limits.idle_seconds
            ),
            headers=_HEADERS,
            trust_env=False,
            # a few bytes may unpack to gigabytes, so nothing compressed is read
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._session.close()
        self._threads.close()

    async def fetch(self, url: str, out: Path) -> FetchedFile:
        """Write the file at `url` to `out`, which is deleted on failure.

        Raises `FetchError` for what is wrong with the URL or its server, `OSError` for `out`.
        """
        target = parse_url(url)
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._fetch(target, out)
        except TimeoutError as error:
            raise FetchTimedOut("The URL's server was too slow.") from error

    async def _fetch(self, target: Target, out: Path) -> FetchedFile:
        for _ in range(self._limits.redirects + 1):
            async with self._request(target) as response:
                if response.status not in _REDIRECT_STATUSES:
                    return await self._save(response, target, out)
                location = response.headers.get("Location", "")
            target = resolve_redirect(target, location)
        raise FetchFailed("The URL redirects too often.")

    @asynccontextmanager
    async def _request(self, target: Target) -> AsyncIterator[aiohttp.ClientResponse]:
        if target.address is not None:  # aiohttp calls no resolver for an address
            self._policy.check([target.address])
        with _translate_network_errors(target):
            response = await self._session.get(target.url, allow_redirects=False)
        try:
            yield response
        finally:
            response.close()

    async def _save(self, response: aiohttp.ClientResponse, target: Target, out: Path) -> FetchedFile:
        if response.status != 200:
            raise FetchFailed(f"The URL's server answered with status {response.status}.")
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise FetchFailed("The URL's server compressed its answer, unasked.")
        self._check_size(response.content_length or 0)
        size = await self._write(response, target, out)
        return FetchedFile(size, _media_type(response.headers.get("Content-Type", "")), target.host)

    async def _write(self, response: aiohttp.ClientResponse, target: Target, out: Path) -> int:
        size = 0
        async with _open_or_delete(out) as file:
            while chunk := await _read_chunk(response, target):
                size += len(chunk)
                self._check_size(size)
                await asyncio.to_thread(file.write, chunk)
        return size

    def _check_size(self, size: int) -> None:
        if size > self._limits.bytes:
            raise FetchTooLarge(f"The file at the URL has more than {self._limits.bytes} bytes.")


async def _read_chunk(response: aiohttp.ClientResponse, target: Target) -> bytes:
    with _translate_network_errors(target):
        return await response.content.read(_CHUNK_BYTES)


@contextmanager
def _translate_network_errors(target: Target) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise FetchTimedOut("The URL's server was too slow.") from error
    except (aiohttp.ClientSSLError, aiohttp.ClientConnectorError) as error:
        logger.info("no connection to %s: %s", target.host, type(error).__name__)
        raise FetchFailed("The URL's server cannot be reached.") from error
    except (aiohttp.ClientError, OSError) as error:
        logger.info("no file from %s: %s", target.host, type(error).__name__)
        raise FetchFailed("The URL's server broke off or does not speak HTTP.") from error


@asynccontextmanager
async def _open_or_delete(out: Path) -> AsyncIterator[BinaryIO]:
    """Open `out` for writing, and delete it if the body raises.

    The event loop never waits for the disk, and the context is left only when the disk is done.
    """
    file = await asyncio.to_thread(out.open, "wb")
    try:
        yield file
    except BaseException:
        await asyncio.shield(asyncio.to_thread(_close_and_delete, file, out))
        raise
    await asyncio.to_thread(file.close)


def _close_and_delete(file: BinaryIO, out: Path) -> None:
    with suppress(OSError):
        file.close()  # waits for a thread that is still writing
    out.unlink(missing_ok=True)


def _media_type(header: str) -> str | None:
    found = _MEDIA_TYPE.match(header)
    return found[1].lower() if found else None
