"""The messages between the service and the model's process, one line of JSON each."""

from typing import Literal

import msgspec


class ServerSettings(msgspec.Struct, frozen=True):
    """The settings that the parent sends to its model process."""

    models_folder: str
    log_path: str
    api_key: str
    slots: int
    context_length: int
    """Tokens per slot."""
    model_path: str | None = None
    parent: int = 0
    """The parent's process id."""


class ServerReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """A report of the model process: `loading` any number of times, then `ready` or `failed`."""

    state: Literal["loading", "ready", "failed"]
    message: str = ""
    fraction: float = 0
    port: int = 0
