"""Checks that refuse what the requested model cannot do, and name the parameter."""

import asyncio
from collections.abc import Iterator, Sequence

from django.conf import settings

from conversations.completion_request import OUTPUT_LIMITS, CompletionRequest
from core.exceptions import ApiError, BadRequest
from engines.base import Engine
from engines.messages import FilePart, Message
from engines.model_spec import ModelSpec
from media.processing.speech.voices.registry import find_voice

STANDARD_TIERS = ("auto", "default")
"""The service tiers that cost what is priced."""


def check_against_model(request: CompletionRequest, spec: ModelSpec, engine: Engine) -> None:
    """Raise `BadRequest` for the first thing that this model cannot honor."""
    for problem in _problems(request, spec, engine):
        raise problem


def _problems(request: CompletionRequest, spec: ModelSpec, engine: Engine) -> Iterator[ApiError]:
    for name in engine.unsupported:
        if request.params.get(name):
            yield _unsupported(f"The model {spec.id!r} does not support {name!r}.", name)
    if spec.max_output_tokens is not None:
        for name in OUTPUT_LIMITS:
            if (request.params.get(name) or 0) > spec.max_output_tokens:
                yield BadRequest(
                    f"{name} is too large: {spec.id!r} makes at most {spec.max_output_tokens} tokens.",
                    param=name,
                    code="integer_above_max_value",
                )


def check_standard_price(request: CompletionRequest) -> None:
    """Raise `BadRequest` if a request asks for what an upstream charges beside its tokens.

    A price does not say what that costs.
    """
    tier = request.params.get("service_tier")
    if tier is not None and tier not in STANDARD_TIERS:
        raise BadRequest(
            f"There is no price for the service tier {tier!r} here. Leave it out, or send 'default'.",
            param="service_tier",
            code="unsupported_value",
        )
    if request.params.get("web_search_options") is not None:
        raise BadRequest(
            "There is no price for searching the web here. Leave 'web_search_options' out.",
            param="web_search_options",
            code="unsupported_parameter",
        )


async def check_voice(request: CompletionRequest, spec: ModelSpec) -> None:
    """Raise `BadRequest` if this service is to speak for the model and does not have the voice."""
    voice = request.audio.voice if request.audio else None
    if voice is None or "audio" not in request.modalities or "audio" in spec.output_modalities:
        return
    if await asyncio.to_thread(find_voice, voice, settings.CHATAPI_VOICES_FOLDER) is None:
        message = f"There is no voice {voice[:64]!r}; GET /v1/audio/voices lists them."
        raise BadRequest(message, param="audio.voice", code="voice_not_found")


def check_documents(messages: Sequence[Message], positions: Sequence[int], spec: ModelSpec) -> None:
    """Raise `BadRequest` for the first file that this model cannot read.

    Pictures, sounds and text files reach every model in some form; other files reach only some.
    """
    if "file" in spec.input_modalities:
        return
    for i, message in enumerate(messages):
        for j, part in enumerate(message.parts):
            if isinstance(part, FilePart) and part.blob and not part.blob.media_type.startswith("text/"):
                position = positions[i] if positions else i
                raise _unsupported(
                    f"The model {spec.id!r} does not read files of the type {part.blob.media_type!r}.",
                    f"messages[{position}].content[{j}].file",
                )


def _unsupported(message: str, param: str) -> BadRequest:
    return BadRequest(message, param=param, code="unsupported_parameter")
