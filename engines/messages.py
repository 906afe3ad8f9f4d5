"""Messages and their parts, as every engine reads them and the history stores them.

This is no vendor's wire format: dialects translate requests into it, and engines translate it for their
upstream.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from core.blob import Blob
from core.value import Value

Role = Literal["system", "user", "assistant", "tool"]


class TextPart(Value, frozen=True, tag="text"):
    text: str


class RefusalPart(Value, frozen=True, tag="refusal"):
    text: str


class ReasoningPart(Value, frozen=True, tag="reasoning"):
    """The model's reasoning: stored and shown, but never sent back as history."""

    text: str


class ImagePart(Value, frozen=True, tag="image"):
    """A picture. `url` is where it was fetched from; until it is fetched, there is no `blob`."""

    blob: Blob | None = None
    url: str | None = None
    detail: str | None = None


class AudioPart(Value, frozen=True, tag="audio"):
    """Sound that a client sent; `format` is the client's name for it (`wav`, `mp3`, …)."""

    blob: Blob
    format: str


class FilePart(Value, frozen=True, tag="file"):
    """A document or, until the file is inspected, a picture or sound that `file_id` stands for."""

    blob: Blob | None = None
    filename: str | None = None
    file_id: str | None = None
    stands_for: Literal["image_url", "input_audio"] | None = None
    detail: str | None = None


class SpokenPart(Value, frozen=True, tag="spoken"):
    """The model's own spoken answer. `expires_at` is in seconds since the epoch."""

    id: str
    transcript: str = ""
    blob: Blob | None = None
    expires_at: int | None = None


class ToolCall(Value, frozen=True, tag="tool_call"):
    """A tool call; `arguments` is the model's text: usually, but not always, a JSON object."""

    id: str
    name: str
    arguments: str


Part = TextPart | RefusalPart | ReasoningPart | ImagePart | AudioPart | FilePart | SpokenPart | ToolCall


class Message(Value, frozen=True):
    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


def carries_media(messages: Iterable[Message]) -> bool:
    media = ImagePart | AudioPart | FilePart | SpokenPart
    return any(isinstance(part, media) for message in messages for part in message.parts)


def text_message(role: Role, text: str) -> Message:
    return Message(role, (TextPart(text),))


_parts_decoder = msgspec.json.Decoder(tuple[Part, ...])
_encoder = msgspec.json.Encoder()


def encode_parts(parts: tuple[Part, ...]) -> str:
    """Encode a message's parts as the JSON text to store."""
    return _encoder.encode(parts).decode()


def decode_parts(stored: str) -> tuple[Part, ...]:
    return _parts_decoder.decode(stored)
