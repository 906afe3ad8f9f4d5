"""The entries of the models file."""

from typing import Annotated, Any, Literal

import msgspec

LOCAL_ENGINES = frozenset({"local", "scripted"})
LOCAL_CONTEXT_LENGTH = 8192
"""Of a `local` model whose entry gives none, in tokens."""


InputModality = Literal["text", "image", "audio", "file"]
OutputModality = Literal["text", "audio"]


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[models]]` entry. Times are in seconds."""

    id: str
    engine: Literal["openai_compatible", "local", "scripted"]
    base_url: str | None = None
    api_key_env: str | None = None
    upstream_model: str | None = None
    input_modalities: tuple[InputModality, ...] = ("text",)
    output_modalities: tuple[OutputModality, ...] = ("text",)
    context_length: int | None = None
    max_output_tokens: int | None = None
    max_image_side: int | None = None
    """In pixels; larger pictures are scaled down."""
    default: bool = False
    on_disconnect: Literal["cancel", "continue"] | None = None
    fallbacks: tuple[str, ...] = ()
    owned_by: str = "chatapi"
    supports_n: bool = False
    """Whether the upstream honors `n`; if not, it is asked n times."""
    connect_timeout: float = 10
    first_event_timeout: float = 300
    idle_timeout: float = 120
    total_timeout: float = 3600
    """From the first request to the end of the answer."""
    retries: int = 2
    """How often to retry a call that failed before its first event."""
    model_path: str | None = None
    """For `local`: your own GGUF file instead of the installed one."""
    slots: Annotated[int, msgspec.Meta(ge=1)] = 2
    """For `local`: how many answers it makes at once, each with its own context."""
    price: Literal["free"] | dict[str, Any] | None = None
    """Decimals of USD, keyed by the names of billing's units; `chatapi.model_loading` checks them."""

    def __post_init__(self) -> None:
        if self.engine == "local" and self.context_length is None:
            msgspec.structs.force_setattr(self, "context_length", LOCAL_CONTEXT_LENGTH)

    @property
    def is_local(self) -> bool:
        """Whether it answers on this machine, so that nobody else charges for it.

        An engine that is not listed is not free: its models need a price.
        """
        return self.engine in LOCAL_ENGINES


LOCAL_DEFAULT = ModelSpec(
    id="qwen2.5-coder-0.5b-instruct",
    engine="local",
    max_output_tokens=4096,
    default=True,
)
