"""What the headers of a request say of its caller, and of the workspace to act in."""

from collections.abc import Iterable
from typing import NamedTuple


class Credentials(NamedTuple):
    """What a request's headers say of its caller. `workspace` is the id of the one to act in."""

    secret: str | None = None
    workspace: str | None = None


WORKSPACE_HEADERS = (b"x-workspace-id", b"openai-project")
"""The headers that choose a workspace: ours, and the one that OpenAI's clients send."""


def find_credentials(headers: Iterable[tuple[bytes, bytes]]) -> Credentials:
    """Return what ASGI headers say, as it was sent."""
    bearer = key = workspace = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer" and bearer is None:
                bearer = secret.strip()
        elif name == b"x-api-key":
            key = value.decode("latin-1").strip()
        elif name in WORKSPACE_HEADERS and (workspace is None or name == WORKSPACE_HEADERS[0]):
            workspace = value.decode("latin-1").strip() or None
    return Credentials(key if bearer is None else bearer, workspace)
