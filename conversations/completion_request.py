"""A completion request after validation, the same for both dialects."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from engines.requests import EngineRequest

DialectName = Literal["native", "openai"]
OnDisconnect = Literal["cancel", "continue"]

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")
"""Two names for the same limit, the newer first: many upstreams know only one of them."""


class CompletionRequest(EngineRequest, frozen=True, kw_only=True):
    """A validated request: what an engine is asked, and what the service itself must know.

    `uploads` are the bytes that came inline (base64), by the SHA-256 that the messages' blobs have.
    `conversation_id`, `parent_message_id` and `regenerate` are as the client wrote them; `begins_root` is
    whether the client wrote null for the parent. `positions` are where each of the last messages began in the
    client's list; empty if none were merged.
    """

    dialect: DialectName
    model: str | None = None
    stream: bool = False
    include_usage: bool = False
    ssml: bool = False
    metadata: dict[str, str] = {}
    context: dict[str, Any] | None = None
    conversation_id: str | None = None
    parent_message_id: str | None = None
    begins_root: bool = False
    regenerate: str | None = None
    end_user: str = ""
    on_disconnect: OnDisconnect | None = None
    uploads: Mapping[str, bytes] = {}
    positions: tuple[int, ...] = ()

    @property
    def is_stored(self) -> bool:
        """Whether what is said can be read again: only `store: false` says that it cannot."""
        return self.params.get("store") is not False

    @property
    def output_limit(self) -> int:
        """The most tokens that an answer may have, according to the call; 0 if it sets no limit."""
        return requested_output_limit(self.params)


def requested_output_limit(params: Mapping[str, Any]) -> int:
    """Return the requested output limit: the smaller one if both names are given, 0 if neither is."""
    return min((tokens for name in OUTPUT_LIMITS if (tokens := params.get(name))), default=0)


def unify_output_limits(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with the same limit under each given name: an upstream may read only one."""
    limit = requested_output_limit(params)
    return {**params, **{name: limit for name in OUTPUT_LIMITS if params.get(name)}}


def non_default_fields(request: CompletionRequest) -> dict[str, Any]:
    """Return what reviewers see of the request besides its messages: all that differs from its default."""
    return {
        name: value for name, default in _DEFAULTS.items() if (value := getattr(request, name)) != default
    }


_UNSEEN = {
    "messages",
    "metadata",
    "read_blob",
    "report_sent",
    "report_usage",
    "dialect",
    "uploads",
    "end_user",
    "positions",
}
_DEFAULTS = {
    field.name: field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    for field in msgspec.structs.fields(CompletionRequest)
    if field.name not in _UNSEEN
}
