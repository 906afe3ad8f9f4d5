"""Values → the body of an upstream's `POST /chat/completions`."""

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from core.blob import Blob
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)
from engines.requests import EngineRequest, ResponseFormat, Tool

DEFAULT_VOICE = "alloy"
"""OpenAI requires a voice; our native dialect lets a client omit it."""
ENCODE_PIECE = 3 * 2**16
"""Bytes encoded before the event loop may run again; a multiple of 3, so that pieces join."""

Wire = dict[str, Any]
_encode = msgspec.json.Encoder().encode


async def encode_request(request: EngineRequest, model: str, *, supports_n: bool) -> list[bytes]:
    """Encode the JSON body, in pieces to be sent in order; blobs are read and inlined here."""
    inliner = _BlobInliner(request.read_blob)
    body: Wire = {name: value for name, value in request.params.items() if value is not None}
    body["model"] = model
    body["messages"] = [await _message(message, request, inliner) for message in request.messages]
    body["stream"] = request.stream
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    if request.n > 1 and supports_n:
        body["n"] = request.n
    if request.tools:
        body.update(_tools(request))
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    if "audio" in request.modalities:
        body.update(_audio_output(request))
    return inliner.fill(_encode(body))


class _BlobInliner:
    """Blobs as base64, kept out of the JSON while it is encoded.

    Copying many megabytes at once blocks the loop, so the JSON holds only a mark for each.
    """

    def __init__(self, read_blob: Callable[[Blob], Awaitable[bytes]]) -> None:
        self._read_blob = read_blob
        self._mark = secrets.token_hex(16)
        self._blobs: list[list[bytes]] = []

    async def base64(self, blob: Blob) -> str:
        """Encode a blob and return the mark that stands for its base64 in the JSON."""
        data = await self._read_blob(blob)
        pieces: list[bytes] = []
        for start in range(0, len(data), ENCODE_PIECE):
            pieces.append(base64.b64encode(data[start : start + ENCODE_PIECE]))
            await asyncio.sleep(0)
        self._blobs.append(pieces)
        return self._mark

    async def data_url(self, blob: Blob) -> str:
        return f"data:{blob.media_type};base64,{await self.base64(blob)}"

    def fill(self, body: bytes) -> list[bytes]:
        """Return the body's pieces: the encoded JSON, with each blob in its place."""
        if not self._blobs:
            return [body]
        first, *rest = body.split(self._mark.encode())
        pieces = [first]
        for blob, text in zip(self._blobs, rest, strict=True):
            pieces += [*blob, text]
        return pieces


# --- messages -----------------------------------------------------------------------------------


async def _message(message: Message, request: EngineRequest, inliner: _BlobInliner) -> Wire:
    wire: Wire = {"role": message.role}
    if message.name:
        wire["name"] = message.name
    if message.role == "assistant":
        wire.update(_assistant(message, request))
        return wire
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    wire["content"] = await _content(message.parts, inliner)
    return wire


async def _content(parts: tuple[Part, ...], inliner: _BlobInliner) -> Any:
    match parts:
        case ():
            return ""
        case (TextPart(text=text),):
            return text
    return [wire for part in parts if (wire := await _content_part(part, inliner)) is not None]


async def _content_part(part: Part, inliner: _BlobInliner) -> Wire | None:
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case RefusalPart(text=text):
            return {"type": "refusal", "refusal": text}
        case ImagePart():
            url = await inliner.data_url(part.blob) if part.blob else part.url
            image = {"url": url, "detail": part.detail} if part.detail else {"url": url}
            return {"type": "image_url", "image_url": image}
        case AudioPart(blob=blob, format=format_):
            sound = {"data": await inliner.base64(blob), "format": format_}
            return {"type": "input_audio", "input_audio": sound}
        case FilePart():
            return {"type": "file", "file": await _file(part, inliner)}
    return None


async def _file(part: FilePart, inliner: _BlobInliner) -> Wire:
    wire: Wire = {}
    if part.blob is not None:
        wire["file_data"] = await inliner.data_url(part.blob)
    elif part.file_id is not None:
        wire["file_id"] = part.file_id
    if part.filename is not None:
        wire["filename"] = part.filename
    return wire


def _assistant(message: Message, request: EngineRequest) -> Wire:
    """Return an earlier answer's fields. Its reasoning is never sent back."""
    wire: Wire = {}
    parts = [_spoken_to_text(part, request) for part in message.parts]
    texts = [part for part in parts if isinstance(part, TextPart)]
    refusals = [part for part in parts if isinstance(part, RefusalPart)]
    spoken = [part for part in parts if isinstance(part, SpokenPart)]
    if texts and refusals:
        mixed = [part for part in parts if isinstance(part, TextPart | RefusalPart)]
        wire["content"] = [_text_or_refusal(part) for part in mixed]
    elif refusals:
        wire["refusal"] = "".join(part.text for part in refusals)
        wire["content"] = None
    elif len(texts) > 1:
        wire["content"] = [_text_or_refusal(part) for part in texts]
    elif texts:
        wire["content"] = texts[0].text
    else:
        wire["content"] = None if message.tool_calls or spoken else ""
    if spoken:
        wire["audio"] = {"id": spoken[0].id}
    if message.tool_calls:
        wire["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    return wire


def _text_or_refusal(part: TextPart | RefusalPart) -> Wire:
    kind = "text" if isinstance(part, TextPart) else "refusal"
    return {"type": kind, kind: part.text}


def _spoken_to_text(part: Part, request: EngineRequest) -> Part:
    """Replace a spoken answer with its transcript if the upstream cannot know its id (anymore)."""
    if not isinstance(part, SpokenPart) or not part.transcript:
        return part
    has_expired = part.expires_at is not None and part.expires_at <= time.time()
    return TextPart(part.transcript) if has_expired or "audio" not in request.modalities else part


def _tool_call(call: ToolCall) -> Wire:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


# --- tools and the format of the answer ---------------------------------------------------------


def _tools(request: EngineRequest) -> Wire:
    choice = request.tool_choice
    wire: Wire = {"tools": [_tool(tool) for tool in request.offered_tools]}
    if choice is not None and choice.mode == "required" and len(choice.names) == 1:
        wire["tool_choice"] = {"type": "function", "function": {"name": choice.names[0]}}
    elif choice is not None:
        wire["tool_choice"] = choice.mode
    if not request.parallel_tool_calls:
        wire["parallel_tool_calls"] = False
    return wire


def _tool(tool: Tool) -> Wire:
    function: Wire = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _response_format(response_format: ResponseFormat) -> Wire:
    wire: Wire = {"type": response_format.type}
    if response_format.type == "json_schema":
        fields = {
            "name": response_format.name or "answer",
            "description": response_format.description,
            "schema": response_format.schema,
            "strict": response_format.strict,
        }
        wire["json_schema"] = {name: value for name, value in fields.items() if value is not None}
    return wire


def _audio_output(request: EngineRequest) -> Wire:
    asked = request.audio
    voice = (asked and asked.voice) or DEFAULT_VOICE
    audio = {"voice": voice, "format": request.sound_format}
    return {"modalities": list(request.modalities), "audio": audio}
