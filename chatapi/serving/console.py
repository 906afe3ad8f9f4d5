"""What the operator sees on the terminal while the server starts."""

import asyncio
import json
import logging
import socket
import sys
import time
from ipaddress import ip_address
from typing import Any, NamedTuple

import msgspec

from chatapi.serving.first_start import Credentials
from core.redaction import redact

_POLL_SECONDS = 0.1


def say(line: str) -> None:
    """Print to standard output at once, even if that is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Address(NamedTuple):
    """The address where a client on this machine reaches the server."""

    host: str
    port: int

    @classmethod
    def of(cls, listener: socket.socket) -> "Address":
        host, port = listener.getsockname()[:2]
        return cls(_EVERYWHERE.get(host, host), port)

    @property
    def url(self) -> str:
        """Its URL, by name where it has one: browsers allow security keys at http://localhost alone."""
        if ip_address(self.host).is_loopback:
            return f"http://localhost:{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def welcome(credentials: Credentials, url: str, model: str) -> str:
    return f"""
First start. Keep these: they are shown only now.

  sign in at  {url}/accounts/login/
  email       {credentials.email}
  password    {credentials.password}
  API key     {credentials.api_key}

To try it, once it is ready, in another terminal:

  {curl(f"{url}/chat/completions", credentials.api_key, model)}

or with any OpenAI client, base URL {url}/v1:

  {curl(f"{url}/v1/chat/completions", credentials.api_key, model, stream=True)}
"""


def curl(url: str, api_key: str, model: str, **fields: Any) -> str:
    """Return a command that can be pasted into a shell."""
    body = {"model": model, **fields, "messages": [{"role": "user", "content": "Say hello in French."}]}
    data = json.dumps(body).replace("'", "'\\''")
    return (
        f"curl -N {url} -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' -d '{data}'"
    )


class ConsoleProgress(logging.Handler):
    """A log handler that prints what the local engine logs (joining, loading) until the server is ready."""

    NAME = "engines.local"

    def __init__(self) -> None:
        super().__init__()
        self.said_at = time.monotonic()
        self.said = ""

    def begin(self) -> None:
        logger = logging.getLogger(self.NAME)
        logger.addHandler(self)
        logger.propagate = False

    def end(self) -> None:
        logger = logging.getLogger(self.NAME)
        logger.removeHandler(self)
        logger.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        self.said_at, self.said = time.monotonic(), redact(record.getMessage())
        say(f"  {self.said}")

    def has_shown(self, reason: str) -> bool:
        return bool(self.said) and self.said in reason


async def report_readiness(
    address: Address, host_header: str, progress: ConsoleProgress, *, patience: float = 3
) -> None:
    """Say `Ready` once /healthz does; say why not if nothing was logged for `patience` seconds."""
    said: set[str] = set()
    while (reason := await unready_reason(*address, host_header)) is not None:
        if time.monotonic() - progress.said_at >= patience and reason not in said:
            said.add(reason)
            if not progress.has_shown(reason):
                say(f"Not ready yet: {reason}")
        await asyncio.sleep(_POLL_SECONDS)
    progress.end()
    url = address.url
    pages = f"sign-in {url}/accounts/, admin site {url}/admin/, API document {url}/docs"
    say(f"Ready: {url} ({pages}). Ctrl-C stops it.")


async def unready_reason(host: str, port: int, host_header: str) -> str | None:
    """Ask /healthz; return None for 200, else its reason."""
    try:
        status, body = await _get(host, port, "/healthz", host_header)
    except (OSError, ValueError, IndexError) as error:
        return f"/healthz does not answer: {error}"
    if status == 200:
        return None
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, LookupError, TypeError):
        return f"/healthz answered {status}"


async def _get(host: str, port: int, path: str, host_header: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host_header}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]), body
    finally:
        writer.close()
