"""The most that a call may use, which is held before it starts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from billing.tariffs import Bound
from chatapi.completions.attachments.text_files import max_text_bytes
from chatapi.completions.token_counts import TOKENS_PER_MESSAGE, estimate_prompt_tokens, text_bytes
from conversations.completion_request import CompletionRequest, requested_output_limit
from core.blob import Blob
from engines.messages import AudioPart, FilePart, ImagePart, Message, Part, RefusalPart, SpokenPart, ToolCall
from engines.model_spec import ModelSpec
from media.processing.pictures.text_description import MAX_CHARACTERS
from media.processing.speech.ssml.model_instructions import SSML_INSTRUCTIONS

DEFAULT_OUTPUT_LIMIT = 16_384
"""The limit of an answer if neither the call nor the models file sets one."""
CHARACTER_BYTES = 4
"""The most bytes that a character takes in UTF-8."""
FRAMING = 4 * TOKENS_PER_MESSAGE
IMAGE_TOKENS = 8_192
"""The most tokens that a picture may count for."""
PICTURE_TEXT_TOKENS = MAX_CHARACTERS * CHARACTER_BYTES
"""The most tokens that the text read from a picture may count for, if the model does not see."""
SOUND_TOKENS_PER_SECOND = 32
"""The most that any model is known to count. A transcript has fewer."""
PCM_TYPES, PCM_BYTES_PER_TOKEN = ("audio/wav", "audio/pcm"), 90
ENCODED_BYTES_PER_TOKEN = 8
"""Used if the length is not known. A second of silence in Opus has 276 bytes."""
SOUND_FRAMING = 4 * FRAMING
"""Enough for the note that stands for a sound in which no speech was heard."""
SPEECH_TOKENS_PER_TEXT_TOKEN = 12
"""Tokens of sound per token of text: at 20 tokens of sound per second, slow speech with pauses."""


def usage_bound(
    request: CompletionRequest,
    specs: Sequence[ModelSpec],
    history: Sequence[Message],
    milliseconds: Mapping[str, int] = MappingProxyType({}),
) -> Bound:
    """Return the most that this call may use, whichever of the models answers.

    `milliseconds` are the lengths of its sounds by SHA-256, where they are known.

    A token is at least one byte of UTF-8, so the bytes of a text bound its tokens; what pictures and sounds
    count for is not known exactly for any model. A history that fits no context will be refused.
    """
    bounds = _Bounds(specs, milliseconds, request.uploads)
    prompt = sum(map(bounds.message_bound, history)) + _overhead_bound(request)
    contexts = [spec.context_length for spec in specs]
    if all(contexts):
        prompt = min(prompt, max(length for length in contexts if length))
    output = max(output_limit(request.params, spec) for spec in specs)
    speaks = "audio" in request.modalities
    prompts = 1 if all(spec.supports_n for spec in specs) else request.n
    return Bound(
        prompt=prompts * prompt,
        output=request.n * output,
        spoken=request.n * output * SPEECH_TOKENS_PER_TEXT_TOKEN
        if speaks and not all(map(_speaks, specs))
        else 0,
        images=prompts * sum(isinstance(part, ImagePart) for message in history for part in message.parts),
        hears=any("audio" in spec.input_modalities for spec in specs),
        speaks=speaks and any(map(_speaks, specs)),
    )


def expected_tokens(request: CompletionRequest) -> int:
    """Return the tokens that a call may use: those of its messages, and of the answers if it limits them."""
    return estimate_prompt_tokens(request.messages) + request.n * request.output_limit


def output_limit(params: Mapping[str, Any], spec: ModelSpec) -> int:
    """Return the most tokens that an answer may have, according to the call or the models file."""
    return (
        requested_output_limit(params)
        or spec.max_output_tokens
        or spec.context_length
        or DEFAULT_OUTPUT_LIMIT
    )


def limit_output(params: dict[str, Any], spec: ModelSpec) -> dict[str, Any]:
    """Return the parameters with an output limit, so that the answer costs no more than is held for it."""
    if requested_output_limit(params) or (spec.context_length and not spec.max_output_tokens):
        return params
    return {**params, "max_completion_tokens": output_limit(params, spec)}


def sound_digests(history: Iterable[Message]) -> set[str]:
    """Return the SHA-256 of each sound, sent or spoken."""
    return {
        part.blob.sha256
        for message in history
        for part in message.parts
        if isinstance(part, AudioPart | SpokenPart) and part.blob
    }


@dataclass(frozen=True)
class _Bounds:
    """Bounds of what the models may read of a history. `uploads` are the bytes at hand, by SHA-256."""

    specs: Sequence[ModelSpec]
    milliseconds: Mapping[str, int]
    uploads: Mapping[str, bytes]

    def message_bound(self, message: Message) -> int:
        names = f"{message.name or ''}{message.tool_call_id or ''}"
        return FRAMING + len(names.encode()) + text_bytes(message) + sum(map(self._part_bound, message.parts))

    def _part_bound(self, part: Part) -> int:
        """Return the bound of a part, without the text that `text_bytes` counts."""
        match part:
            case RefusalPart():
                return len(part.text.encode())
            case ToolCall():
                return len(part.id.encode())
            case ImagePart():
                return max(map(_picture_bound, self.specs))
            case AudioPart():
                return self._sound_bound(part.blob)
            case SpokenPart():
                return max(self._sound_bound(part.blob) if part.blob else 0, len(part.transcript.encode()))
            case FilePart() if part.blob:
                return self._file_bound(part.blob, part.filename)
        return 0

    def _sound_bound(self, blob: Blob) -> int:
        length = self.milliseconds.get(blob.sha256)
        if length is not None:
            return -(-length // 1000) * SOUND_TOKENS_PER_SECOND + SOUND_FRAMING
        is_pcm = blob.media_type.startswith(PCM_TYPES)
        return blob.size // (PCM_BYTES_PER_TOKEN if is_pcm else ENCODED_BYTES_PER_TOKEN) + SOUND_FRAMING

    def _file_bound(self, blob: Blob, filename: str | None) -> int:
        as_file = blob.size + len((filename or "").encode()) + FRAMING
        as_text = max_text_bytes(blob, filename, self.uploads.get(blob.sha256))
        return max(as_file if "file" in spec.input_modalities else as_text for spec in self.specs)


def _picture_bound(spec: ModelSpec) -> int:
    return IMAGE_TOKENS if "image" in spec.input_modalities else PICTURE_TEXT_TOKENS


def _overhead_bound(request: CompletionRequest) -> int:
    """Return the bound of what models read besides the messages."""
    around = msgspec.json.encode((request.tools, request.response_format))
    return (
        len(around) + FRAMING * len(request.tools) + (len(SSML_INSTRUCTIONS.encode()) if request.ssml else 0)
    )


def _speaks(spec: ModelSpec) -> bool:
    return "audio" in spec.output_modalities
