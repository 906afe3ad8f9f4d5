"""Websites on loopback that misbehave as tests want, and a resolver for their names."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from ssl import SSLContext
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from media.processing.fetching.exceptions import FetchError
from media.processing.fetching.fetcher import Fetcher, FetchLimits
from media.processing.fetching.public_network import Lookup, Network

LOOPBACK = (ip_network("127.0.0.1/32"), ip_network("::1/128"))
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40

Answer = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One request to a website, and the connection to answer it."""

    def __init__(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line, *lines = head.split("\r\n")
        self.headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
        }
        self._reader = reader
        self._writer = writer

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    @property
    def server_name(self) -> str | None:
        """The name requested in the TLS handshake, if the test's SNI callback recorded it."""
        tls = self._writer.get_extra_info("ssl_object")
        return getattr(tls, "asked_for", None)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def silence(self) -> None:
        """Send nothing until the client leaves."""
        await self._reader.read()

    async def answer(self, body: bytes = b"", status: str = "200 OK", **headers: str) -> None:
        fields = {"Content-Length": str(len(body))} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await self.send(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)


class Site:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.port = 0
        self.visits: list[Visit] = []
        self.connections = 0
        self.open = 0

    def url(self, path: str = "/picture.png", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            visit = Visit(head.rstrip("\r\n"), reader, writer)
            self.visits.append(visit)
            await self._answer(visit)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def wait_until_left(self) -> None:
        async with asyncio.timeout(30):
            while self.open:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def website(
    answer: Answer, host: str = "127.0.0.1", tls: SSLContext | None = None
) -> AsyncIterator[Site]:
    site = Site(answer)
    server = await asyncio.start_server(site.serve, host, 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


class FakeResolver:
    """A resolver: each look-up of a name gives the next of its answers, and the last one from then on."""

    def __init__(self, **answers: Sequence[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        answers = self._answers.get(name)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@asynccontextmanager
async def open_fetcher(
    look_up: Lookup | None = None,
    *,
    allowed: Sequence[Network] = LOOPBACK,
    tls: SSLContext | None = None,
    **limits: Any,
) -> AsyncIterator[Fetcher]:
    """A fetcher that may go to 127.0.0.1 and ::1, and to no other address of this machine."""
    fetcher = Fetcher(
        FetchLimits(**limits),
        allowed_networks=allowed,
        look_up=look_up or FakeResolver(),
        tls=tls,
    )
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def send_picture(visit: Visit) -> None:
    await visit.answer(PICTURE, Content_Type="image/png")


async def fetch_error(answer: Answer, out: Path, **limits: Any) -> FetchError:
    """The error from fetching this website, once the connection is closed and no file is left."""
    async with website(answer) as site, open_fetcher(**limits) as fetcher:
        with pytest.raises(FetchError) as refused:
            await fetcher.fetch(site.url(), out)
        await site.wait_until_left()
    assert not out.exists()
    assert "127.0.0.1" not in refused.value.message
    return refused.value


def write_certificate(folder: Path, name: str) -> Path:
    """Write a self-signed certificate and its key to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(pem) + secret)
    return path
