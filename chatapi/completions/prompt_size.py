"""What a model reads of a request, in tokens: what is held for a call and what an estimate bills.

Both come from one walk, so that nothing can be held for that is not billed, or billed that was not held for.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from chatapi.completions.attachments.text_files import TEXT_LIMIT, max_text_bytes
from chatapi.completions.token_counts import (
    BYTES_PER_TOKEN,
    TOKENS_PER_MESSAGE,
    PromptEstimate,
    tokens_of,
)
from core.blob import Blob
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
from engines.model_spec import ModelSpec
from engines.requests import EngineRequest
from media.processing.pictures.text_description import MAX_CHARACTERS

LONGEST_TOKEN = 128
"""The most bytes of UTF-8 in one token: a run of spaces in the vocabularies of OpenAI, Llama and Qwen."""
WORDS_PER_TOKEN = 4
"""The most words in one token. Nearly all tokenizers split at spaces; SuperBPE joins up to four words."""
LONG_TEXT = 1024
"""The length in bytes from which words are counted: shorter texts alone exceed no context."""
CHARACTER_BYTES = 4
"""The most bytes that a character takes in UTF-8."""
ESCAPE_GROWTH = 3
"""How much longer JSON may become where a prompt template writes other characters as `\\u00e9`."""
FRAMING = 4 * TOKENS_PER_MESSAGE
"""The most tokens around a message or a tool."""
IMAGE_TOKENS = 8_192
"""The most tokens that a picture may count for."""
EXPECTED_IMAGE_TOKENS, EXPECTED_SMALL_IMAGE_TOKENS = 765, 85
"""What OpenAI counts for a square picture, and for one in low detail."""
PICTURE_TEXT_TOKENS = MAX_CHARACTERS * CHARACTER_BYTES
"""The most tokens that the text read from a picture may count for, if the model does not see."""
SOUND_TOKENS_PER_SECOND, EXPECTED_SOUND_TOKENS_PER_SECOND = 32, 10
"""The most that any model is known to count, and what OpenAI counts. A transcript has fewer."""
PCM_TYPES, PCM_BYTES_PER_TOKEN = ("audio/wav", "audio/pcm"), 90
ENCODED_BYTES_PER_TOKEN = 8
"""Used if the length is not known. A second of silence in Opus has 276 bytes."""
EXPECTED_PCM_BYTES_PER_TOKEN, EXPECTED_ENCODED_BYTES_PER_TOKEN = 3_200, 200
"""Of sounds of unknown length: 16 kHz mono PCM16, and 16 kbit/s."""
SOUND_FRAMING = 4 * FRAMING
"""Enough for the note that stands for a sound in which no speech was heard."""
DOCUMENT_BYTES_PER_TOKEN = 16
"""Of files that are no text, such as PDF, which hold more than their words."""
DOCUMENT_TOKENS = 1_000_000
"""The most that such a file counts for, if the context is not less: a small one may have many pages."""
READ_PARAMETERS = ("prediction",)
"""The parameters whose content a model reads."""


class PromptSize(NamedTuple):
    """The tokens of a prompt: at least `least`, about `expected`, at most `most`.

    `sound` are those of `expected` that are heard. A prompt without media `is_plain`: it has the same size
    for every model.
    """

    least: int = 0
    expected: int = 0
    most: int = 0
    sound: int = 0
    images: int = 0
    is_plain: bool = True

    def estimate(self, spec: ModelSpec) -> PromptEstimate:
        """Return what is billed for it where the model does not count: no more than it can read."""
        tokens = min(self.expected, spec.context_length or self.expected)
        return PromptEstimate(tokens, min(self.sound, tokens), self.images)

    def bound(self, spec: ModelSpec) -> int:
        """Return the tokens that are held for it: no more than the model can read."""
        return min(self.most, spec.context_length or self.most)

    def excess(self, spec: ModelSpec) -> str | None:
        """Return how the prompt exceeds all that the model can read; None if it may fit."""
        if spec.context_length is None or self.least <= spec.context_length:
            return None
        return (
            f"This conversation has at least {self.least} tokens, and the model {spec.id!r} reads "
            f"{spec.context_length} at most. Shorten it, or choose a model that reads more."
        )


def prompt_size(
    request: EngineRequest,
    spec: ModelSpec,
    *,
    milliseconds: Mapping[str, int] = MappingProxyType({}),
    uploads: Mapping[str, bytes] = MappingProxyType({}),
) -> PromptSize:
    """Return the size of all that this model reads of a request, be it prepared for the model or not.

    `milliseconds` are the lengths of its sounds, `uploads` the bytes at hand, each by SHA-256. Four bytes of
    text are taken for a token, and one at most. What pictures, sounds and files count for is not known
    exactly for any model.
    """
    reading = _Reading(spec, milliseconds, uploads)
    for message in request.messages:
        reading.read_message(message)
    if request.tools or request.response_format is not None or request.tool_choice is not None:
        reading.read_options(request)
    for name in READ_PARAMETERS:
        if (value := request.params.get(name)) is not None:
            reading.read_json(value)
    return reading.size()


class _Reading:
    """What was read of a prompt so far: text in bytes, everything else in tokens."""

    def __init__(
        self, spec: ModelSpec, milliseconds: Mapping[str, int], uploads: Mapping[str, bytes]
    ) -> None:
        self._spec = spec
        self._milliseconds = milliseconds
        self._uploads = uploads
        self._text = 0
        self._long: list[str] = []
        self._expected = 0
        self._most = 0
        self._sound = 0
        self._images = 0
        self._is_plain = True

    def size(self) -> PromptSize:
        least = -(-self._text // LONGEST_TOKEN)
        context = self._spec.context_length or self._text
        if least <= context < self._text // (2 * WORDS_PER_TOKEN):  # only then can its words be too many
            least = max(least, sum(count_words(text, " ", "\n") for text in self._long) // WORDS_PER_TOKEN)
        return PromptSize(least, self._expected, self._most, self._sound, self._images, self._is_plain)

    def read_message(self, message: Message) -> None:
        size = 0
        for part in message.parts:
            if type(part) is TextPart:
                size += self._read_text(part.text)
            else:
                size += self._read_part(part)
        for name in (message.name, message.tool_call_id):
            if name:
                size += len(name.encode())
        self._text += size
        self._expected += TOKENS_PER_MESSAGE + -(-size // BYTES_PER_TOKEN)
        self._most += FRAMING + size

    def read_options(self, request: EngineRequest) -> None:
        """Read the tools and the form of the answer."""
        for tool in request.offered_tools:
            self.read_json(tool)
        if request.response_format is not None:
            self.read_json(request.response_format)
        if request.tool_choice is not None and request.tool_choice.names:
            self.read_json(request.tool_choice.names)

    def read_json(self, value: object) -> None:
        encoded = msgspec.json.encode(value)
        size = len(encoded)
        self._text += size
        if size >= LONG_TEXT:
            self._long.append(encoded.decode().replace("\\n", "\n"))
        self._expected += TOKENS_PER_MESSAGE + tokens_of(size)
        self._most += FRAMING + (size if encoded.isascii() else ESCAPE_GROWTH * size)

    def _read_text(self, text: str) -> int:
        """Return the bytes of a text."""
        if len(text) >= LONG_TEXT:
            self._long.append(text)
        return len(text) if text.isascii() else len(text.encode())

    def _read_part(self, part: Part) -> int:
        """Read a part other than text; return the bytes of text in it."""
        match part:
            case RefusalPart():
                return self._read_text(part.text)
            case ToolCall():
                return self._read_text(part.id) + self._read_text(part.name) + self._read_text(part.arguments)
            case ReasoningPart():
                return 0  # it is never sent back
        self._is_plain = False
        match part:
            case ImagePart():
                self._read_picture(part.detail)
            case AudioPart():
                self._read_sound(part.blob)
            case SpokenPart():
                return self._read_spoken(part)
            case FilePart() if part.blob:
                return self._read_file(part.blob, part.filename)
        return 0

    def _read_picture(self, detail: str | None) -> None:
        self._expected += EXPECTED_SMALL_IMAGE_TOKENS if detail == "low" else EXPECTED_IMAGE_TOKENS
        if "image" in self._spec.input_modalities:
            self._images += 1
            self._most += IMAGE_TOKENS
        else:
            self._most += PICTURE_TEXT_TOKENS

    def _read_sound(self, blob: Blob) -> None:
        # a rendition has the length of its source, whose digest its name begins with
        length = self._milliseconds.get(blob.sha256.partition("/")[0])
        is_pcm = blob.media_type.startswith(PCM_TYPES)
        if length is not None:
            seconds = -(-length // 1000)
            expected = seconds * EXPECTED_SOUND_TOKENS_PER_SECOND
            most = seconds * SOUND_TOKENS_PER_SECOND
        else:
            expected = blob.size // (
                EXPECTED_PCM_BYTES_PER_TOKEN if is_pcm else EXPECTED_ENCODED_BYTES_PER_TOKEN
            )
            most = blob.size // (PCM_BYTES_PER_TOKEN if is_pcm else ENCODED_BYTES_PER_TOKEN)
        self._expected += expected + TOKENS_PER_MESSAGE
        self._most += most + SOUND_FRAMING
        if "audio" in self._spec.input_modalities:
            self._sound += expected

    def _read_spoken(self, part: SpokenPart) -> int:
        """Read an earlier spoken answer: as sound where the model knows it, else as its transcript."""
        if part.blob and "audio" in self._spec.output_modalities:
            self._read_sound(part.blob)
        return self._read_text(part.transcript)

    def _read_file(self, blob: Blob, filename: str | None) -> int:
        """Read a file: as it is where the model takes files, else as its text."""
        if "file" in self._spec.input_modalities:
            is_text = blob.media_type.startswith("text/")
            self._expected += TOKENS_PER_MESSAGE + blob.size // (
                BYTES_PER_TOKEN if is_text else DOCUMENT_BYTES_PER_TOKEN
            )
            self._most += FRAMING + (blob.size if is_text else max(blob.size, DOCUMENT_TOKENS))
            return len((filename or "").encode())
        most = max_text_bytes(blob, filename, self._uploads.get(blob.sha256))
        size = min(blob.size, TEXT_LIMIT, most)
        self._most += most - size
        return size


def count_words(text: str, *separators: str) -> int:
    """Return how many words a text has at least, without going through it word by word.

    Words are what single separators stand between; of a run of them at most one counts.
    """
    return max(text.count(one) - 2 * text.count(one + one) for one in separators)


def sound_digests(history: Iterable[Message]) -> set[str]:
    """Return the SHA-256 of each sound, sent or spoken."""
    return {
        part.blob.sha256
        for message in history
        for part in message.parts
        if isinstance(part, AudioPart | SpokenPart) and part.blob
    }
