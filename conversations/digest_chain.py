"""Chained message digests, which identify the stored conversation that a call continues.

A message's digest covers its own content and its parent's digest, and the first one's "parent" is
the scope: workspace, key and end user. So an equal digest means an equal history of the same owner.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

from accounts.principal import Principal
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)

_encode = msgspec.json.Encoder(order="deterministic").encode


def scope_of(who: Principal, end_user: str) -> str:
    """Return the digest with which the chains of an owner's conversations begin."""
    owner = who.key_id.hex if who.key_id else f"user {who.user_id}"
    return sha256(_encode([who.workspace_id.hex, owner, end_user])).hexdigest()


def chain_digests(start: str, messages: Iterable[Message]) -> list[str]:
    """Return the chained digest of each message, following `start`."""
    chain = []
    for message in messages:
        start = sha256(start.encode() + canonical_bytes(message)).hexdigest()
        chain.append(start)
    return chain


def canonical_bytes(message: Message) -> bytes:
    """Return a message's content in one spelling, without nulls, empties and what is not history."""
    included = message.parts
    if any(isinstance(part, TextPart) for part in included):
        # a spoken answer comes back by its id, by its text, or by both
        included = tuple(part for part in included if not isinstance(part, SpokenPart))
    parts = [spelling for part in included if (spelling := _canonical_part(part))]
    return _encode([message.role, message.name or "", message.tool_call_id or "", parts])


def _canonical_part(part: Part) -> Any:
    match part:
        case TextPart():
            return part.text
        case RefusalPart():
            return ["refusal", part.text] if part.text else None
        case ReasoningPart():
            return None
        case ImagePart():
            return ["image", part.url or (part.blob and part.blob.sha256)]
        case AudioPart():
            return ["audio", part.blob.sha256]
        case FilePart():
            return ["file", part.blob.sha256 if part.blob else part.file_id]
        case SpokenPart():
            return part.transcript or ["spoken", part.id]
        case ToolCall():
            return ["tool_call", part.id, part.name, _canonical_json(part.arguments)]


def _canonical_json(text: str) -> str:
    """Normalize arguments: clients parse and rewrite them, so whitespace and order do not count."""
    try:
        return _encode(msgspec.json.decode(text)).decode()
    except (msgspec.DecodeError, RecursionError):
        return text
