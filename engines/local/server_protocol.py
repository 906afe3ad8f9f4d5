"""What the service and the model's process say to each other, one line of JSON each."""

from typing import Literal

import msgspec


class ServerSettings(msgspec.Struct, frozen=True):
    """What the parent tells its model process."""

    models_folder: str
    log_path: str
    api_key: str
    slots: int
    context_length: int
    """Tokens a slot."""
    model_path: str | None = None


class ServerReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model process tells: `loading` any number of times, then `ready` or `failed`."""

    state: Literal["loading", "ready", "failed"]
    message: str = ""
    fraction: float = 0
    port: int = 0
