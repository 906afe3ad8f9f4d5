"""What the operator reads on the terminal while the server comes up."""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, MutableMapping
from typing import Any

import msgspec

from chatapi.serving.first_start import Credentials

_POLL_SECONDS = 0.1


def say(line: str) -> None:
    """To standard output at once, also where that is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def url_of(host: str, port: int) -> str:
    """Where a client on this machine reaches the server."""
    reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def welcome(credentials: Credentials, url: str, model: str) -> str:
    return f"""
First start. Keep these: they are shown only now.

  admin site  {url}/admin/
  email       {credentials.email}
  password    {credentials.password}
  API key     {credentials.api_key}

To try it, once it is ready, in another terminal:

  {curl(f"{url}/chat/completions", credentials.api_key, model)}

or with any OpenAI client, base URL {url}/v1:

  {curl(f"{url}/v1/chat/completions", credentials.api_key, model, stream=True)}
"""


def curl(url: str, api_key: str, model: str, **fields: Any) -> str:
    """A command that can be pasted into a shell."""
    body = {"model": model, **fields, "messages": [{"role": "user", "content": "Say hello in French."}]}
    data = json.dumps(body).replace("'", "'\\''")
    return (
        f"curl -N {url} -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' -d '{data}'"
    )


class Progress(logging.Handler):
    """Shows what the local engine logs (joining, loading) as plain lines until the server is ready."""

    NAME = "chatapi.engines.local"

    def begin(self) -> None:
        logger = logging.getLogger(self.NAME)
        logger.addHandler(self)
        logger.propagate = False

    def end(self) -> None:
        logger = logging.getLogger(self.NAME)
        logger.removeHandler(self)
        logger.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        say(f"  {record.getMessage()}")


async def tell_when_ready(app: Any, url: str, host_header: str) -> None:
    """Says `Ready` once /healthz does, and why not for as long as it does not."""
    said: set[str] = set()
    while (reason := await unready_because(app, host_header)) is not None:
        kind = "".join(letter for letter in reason if not letter.isdigit())
        if kind not in said:
            said.add(kind)
            say(f"Not ready yet: {reason}")
        await asyncio.sleep(_POLL_SECONDS)
    say(f"Ready: {url} (API document {url}/docs, admin site {url}/admin/). Ctrl-C stops it.")


async def unready_because(app: Any, host_header: str) -> str | None:
    """What /healthz answers: None for 200, else its reason."""
    status, body = await _get(app, "/healthz", host_header)
    if status == 200:
        return None
    try:
        answer = msgspec.json.decode(body)
        return str(answer.get("reason") or answer["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return f"/healthz answered {status}"


async def _get(app: Any, path: str, host_header: str) -> tuple[int, bytes]:
    scope: MutableMapping[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", host_header.encode())],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    status = 0
    pieces: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)
        pieces.append(message.get("body", b""))

    answer: Awaitable[None] = app(scope, receive, send)
    await answer
    return status, b"".join(pieces)
