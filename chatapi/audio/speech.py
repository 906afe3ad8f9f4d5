"""`POST /v1/audio/speech`."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from typing import Any

from django.conf import settings
from starlette.types import Scope

from accounts.asgi_auth import AsgiAuthenticator
from accounts.asgi_endpoints import RateLimitedEndpoint
from accounts.permissions import Permission
from accounts.principal import Caller
from accounts.ratelimits.allowance import Allowance
from accounts.ratelimits.fallback_counters import FallbackCounters
from billing.tariffs import Bound
from billing.units import Units
from chatapi.audio.billing import Bill, bill_call
from chatapi.audio.speech_request import SpeechRequestSerializer
from chatapi.audio.streaming import (
    ReadAhead,
    encode_error_event,
    encode_event,
    end_events,
    read_ahead,
    start_events,
)
from chatapi.audio.workspace_queue import WorkspaceQueue
from chatapi.completions.token_counts import estimate_tokens, sound_tokens
from core.exceptions import ApiError, BadRequest
from core.http.asgi_endpoint import Receiver, Sender, watch_disconnect
from core.http.body import read_body
from core.http.exception_handler import to_api_error
from core.http.responses import end_stream, send_piece, start_stream
from core.validation import exceptions
from core.validation.json_body import parse_json
from core.value import Value
from media.processing.exceptions import MediaError
from media.processing.sandbox.exceptions import SandboxError
from media.processing.sandbox.pool import SandboxPool
from media.processing.sound.output_formats import FORMATS
from media.processing.speech.speech_plan import Say, SpeechItem
from media.processing.speech.ssml.strict_parser import SsmlError, parse_ssml
from media.processing.speech.synthesis.job_types import Speak, SpeechFormat, SpokenPiece, synthesis_timeout
from media.processing.speech.synthesis.jobs import speak
from media.processing.speech.voices.registry import all_voices, find_voice
from media.processing.speech.voices.voice import Voice, VoiceError, VoiceNotFound

BODY_BYTES = 512 * 1024
NAMED_VOICES = 14

_serializer = SpeechRequestSerializer()


class SpeechRequest(Value, frozen=True):
    text: str
    items: list[SpeechItem]
    voice: str
    format: SpeechFormat
    speed: float
    as_events: bool


class SpeechEndpoint(RateLimitedEndpoint):
    """The speech endpoint. `synthesis` is the pool that speaks."""

    permission = Permission.COMPLETIONS

    def __init__(
        self, callers: AsgiAuthenticator, counters: FallbackCounters, synthesis: SandboxPool
    ) -> None:
        super().__init__(callers, counters)
        self._synthesis = synthesis
        self._queue = WorkspaceQueue(settings.CHATAPI_AUDIO_REQUESTS, settings.CHATAPI_AUDIO_QUEUE)

    async def respond_within(
        self, allowance: Allowance, caller: Caller, scope: Scope, receive: Receiver, send: Sender
    ) -> None:
        principal = caller.principal
        body = parse_json(await read_body(scope, receive, BODY_BYTES))
        request = await asyncio.to_thread(_parse_request, body)
        work = Speak(
            request.items, request.voice, request.speed, request.format, settings.CHATAPI_VOICES_FOLDER
        )
        seconds = synthesis_timeout(len(request.text), request.speed)
        spoken = self._synthesis.stream(speak, work, seconds=seconds)
        bound = Bound(characters=len(request.text))
        with watch_disconnect(receive) as is_gone:
            async with (
                self._queue.slot(principal.workspace_id, is_gone),
                bill_call(scope, send, principal, "speech", bound) as bill,
                read_ahead(spoken, is_gone, lambda piece: len(piece.data)) as pieces,
            ):
                try:
                    await _send(request, pieces, is_gone, send, bill)
                except VoiceError as problem:
                    raise _voice_api_error(problem) from problem


async def _send(
    request: SpeechRequest,
    pieces: ReadAhead[SpokenPiece],
    is_gone: asyncio.Event,
    send: Sender,
    bill: Bill,
) -> None:
    first = await _take_until_sound(pieces, is_gone)  # until then a failure gets its own status
    all_pieces = _count_characters(_chain_pieces(first, pieces, is_gone), request, bill)
    if request.as_events:
        await _send_events(request, all_pieces, send)
        return
    await start_stream(send, (b"content-type", FORMATS[request.format].media_type.encode()))
    async for piece in all_pieces:
        if piece.data:
            await send_piece(send, piece.data)
    await end_stream(send)


async def _send_events(request: SpeechRequest, pieces: AsyncIterator[SpokenPiece], send: Sender) -> None:
    await start_events(send)
    milliseconds = 0
    try:
        async for piece in pieces:
            milliseconds = piece.milliseconds
            if piece.data:
                audio = b64encode(piece.data).decode()
                await send_piece(send, encode_event({"type": "speech.audio.delta", "audio": audio}))
    except (MediaError, SandboxError, ApiError) as error:
        problem = to_api_error(error)
        send.call.refuse(problem)
        await end_events(send, encode_error_event(problem))
    else:
        usage = _usage(request.text, milliseconds)
        await end_events(send, encode_event({"type": "speech.audio.done", "usage": usage}))


async def _take_until_sound(pieces: ReadAhead[SpokenPiece], is_gone: asyncio.Event) -> list[SpokenPiece]:
    """Take pieces up to the first with sound. Raises `BadRequest` if there is none."""
    taken: list[SpokenPiece] = []
    while (piece := await pieces.take(is_gone)) is not None:
        taken.append(piece)
        if piece.milliseconds:
            return taken
    raise BadRequest("Invalid value for 'input': there is nothing in it to speak.", param="input")


async def _chain_pieces(
    first: Iterable[SpokenPiece], pieces: ReadAhead[SpokenPiece], is_gone: asyncio.Event
) -> AsyncIterator[SpokenPiece]:
    for piece in first:
        yield piece
    while (next_piece := await pieces.take(is_gone)) is not None:
        yield next_piece


async def _count_characters(
    pieces: AsyncIterator[SpokenPiece], request: SpeechRequest, bill: Bill
) -> AsyncIterator[SpokenPiece]:
    """Bill all characters of a text that was spoken to the end, else only those spoken."""
    spoken, whole = 0, len(request.text)
    async for piece in pieces:
        spoken = min(whole, spoken + len(piece.transcript))
        bill.units = Units(characters=spoken)
        yield piece
    bill.units = Units(characters=whole)


def _usage(text: str, milliseconds: int) -> dict[str, int]:
    text_tokens, spoken = estimate_tokens(text), sound_tokens(milliseconds)
    return {"input_tokens": text_tokens, "output_tokens": spoken, "total_tokens": text_tokens + spoken}


def _parse_request(body: dict[str, Any]) -> SpeechRequest:
    try:
        request = _serializer.run_validation(body)
    except exceptions.InvalidField as problem:
        raise problem.as_bad_request from None
    text = request["input"]
    return SpeechRequest(
        text=text,
        items=_plan(text, is_ssml=request.get("ssml_enabled", False)),
        voice=_voice(request["voice"]).id,
        format="pcm16" if request.get("response_format") == "pcm" else request.get("response_format", "mp3"),
        speed=request.get("speed", 1.0),
        as_events=request.get("stream_format") == "sse",
    )


def _plan(text: str, *, is_ssml: bool) -> list[SpeechItem]:
    if not is_ssml:
        return [Say(text)]
    try:
        return parse_ssml(text)
    except SsmlError as problem:
        raise BadRequest(problem.message, param="input", code=problem.code) from None


def _voice(name: str) -> Voice:
    folder = settings.CHATAPI_VOICES_FOLDER
    voice = find_voice(name, folder)
    if voice is None:
        ids = ", ".join(f"'{known.id}'" for known in all_voices(folder)[:NAMED_VOICES])
        quoted = exceptions.quote_value(name)
        message = f"Invalid value for 'voice': there is no voice {quoted}. Some there are: {ids}."
        raise BadRequest(message, param="voice", code=VoiceNotFound.code)
    return voice


def _voice_api_error(problem: VoiceError) -> ApiError:
    if isinstance(problem, VoiceNotFound):
        return BadRequest(problem.message, param="voice", code=problem.code)
    return ApiError(problem.message, code=problem.code, headers={"x-should-retry": "false"})
