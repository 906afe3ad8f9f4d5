"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`. Nothing from the uploads is kept."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import msgspec
from django.conf import settings
from starlette.types import Scope

from accounts.asgi_auth import AsgiAuthenticator
from accounts.asgi_endpoints import RateLimitedEndpoint
from accounts.permissions import Permission
from accounts.principal import Caller, Principal
from accounts.ratelimits.allowance import Allowance
from accounts.ratelimits.fallback_counters import FallbackCounters
from billing.tariffs import Bound
from billing.units import Units
from chatapi.audio.billing import Bill, bill_call
from chatapi.audio.streaming import (
    KEEP_ALIVE,
    NothingReceived,
    ReadAhead,
    encode_error_event,
    encode_event,
    end_events,
    read_ahead,
    start_events,
)
from chatapi.audio.transcription_request import TranscriptionRequest, parse_transcription_form
from chatapi.audio.workspace_queue import WorkspaceQueue
from core.exceptions import ApiError
from core.http.asgi_endpoint import Receiver, Sender, cancel_on_disconnect, watch_disconnect
from core.http.exception_handler import to_api_error
from core.http.responses import send_piece, send_response
from media.api.form_reader import Form, read_form
from media.inspection import inspect_file, sound_limits
from media.processing.exceptions import MediaError
from media.processing.sandbox import pools
from media.processing.sandbox.exceptions import SandboxError
from media.processing.sound.output_formats import recognition_seconds
from media.processing.sound.transcoding import Transcode, transcode_sound
from media.processing.speech.recognition.job_types import RecognitionEnd, Segment
from media.processing.speech.transcripts import (
    Task,
    Transcript,
    TranscriptBuilder,
    as_json,
    as_srt,
    as_text,
    as_verbose_json,
    as_vtt,
    delta_event,
    done_event,
    round_up_seconds,
)
from media.renditions.makers import SOUND_SECONDS
from media.transcription import stream_transcription, transcription_timeout

JSON, TEXT = b"application/json", b"text/plain; charset=utf-8"

RecognitionStream = ReadAhead[Segment | RecognitionEnd]


class TranscriptionEndpoint(RateLimitedEndpoint):
    """The transcription or translation endpoint. `keep_alive`: seconds of silence before a stream pings."""

    permission = Permission.COMPLETIONS

    def __init__(
        self, callers: AsgiAuthenticator, counters: FallbackCounters, task: Task, *, keep_alive: float
    ) -> None:
        super().__init__(callers, counters)
        self._task = task
        self._keep_alive = keep_alive
        self._queue = WorkspaceQueue(settings.CHATAPI_AUDIO_REQUESTS, settings.CHATAPI_AUDIO_QUEUE)

    async def respond_within(
        self, allowance: Allowance, caller: Caller, scope: Scope, receive: Receiver, send: Sender
    ) -> None:
        limit = settings.CHATAPI_MAX_UPLOAD_BYTES
        async with read_form(caller.principal.workspace_id, scope, receive, limit) as form:
            request = parse_transcription_form(form, self._task)
            with watch_disconnect(receive) as is_gone:
                async with (
                    self._queue.slot(caller.principal.workspace_id, is_gone),
                    self._recognize(request, form, caller.principal, scope, send, is_gone) as results,
                ):
                    if request.streams:
                        await self._stream(results, is_gone, send)
                    else:
                        await self._send_whole(request, results, is_gone, send)

    @asynccontextmanager
    async def _recognize(
        self,
        request: TranscriptionRequest,
        form: Form,
        principal: Principal,
        scope: Scope,
        send: Sender,
        is_gone: asyncio.Event,
    ) -> AsyncIterator[RecognitionStream]:
        """Recognize the upload until the block ends, and bill what was recognized."""
        wav, seconds = await cancel_on_disconnect(is_gone, _convert_to_wav(form))
        recognized = stream_transcription(
            wav,
            seconds=transcription_timeout(seconds),
            language=request.language,
            prompt=request.prompt,
            temperature=request.temperature,
            translate=self._task == "translate",
            words="word" in request.granularities,
        )
        bound = Bound(seconds=round_up_seconds(seconds))
        async with (
            bill_call(scope, send, principal, "transcription", bound) as bill,
            read_ahead(_count_seconds(recognized, bill), is_gone) as results,
        ):
            yield results

    async def _send_whole(
        self, request: TranscriptionRequest, results: RecognitionStream, is_gone: asyncio.Event, send: Sender
    ) -> None:
        writer = TranscriptBuilder()
        while (item := await results.take(is_gone)) is not None:
            writer.add(item)
        media_type, body = _format_transcript(writer.transcript(), request, self._task)
        await send_response(send, 200, [(b"content-type", media_type)], body)

    async def _stream(self, results: RecognitionStream, is_gone: asyncio.Event, send: Sender) -> None:
        writer = TranscriptBuilder()
        first = []
        with suppress(NothingReceived):  # until then a failure gets its own status
            first.append(await results.take(is_gone, self._keep_alive))
        await start_events(send)
        try:
            item = first[0] if first else await self._next(results, is_gone, send)
            while item is not None:
                text = writer.add(item)
                if text:
                    await send_piece(send, encode_event(delta_event(text)))
                item = await self._next(results, is_gone, send)
            last = encode_event(done_event(writer.transcript()))
        except (MediaError, SandboxError, ApiError) as error:
            problem = to_api_error(error)
            send.call.refuse(problem)
            last = encode_error_event(problem)
        await end_events(send, last)

    async def _next(
        self, results: RecognitionStream, is_gone: asyncio.Event, send: Sender
    ) -> Segment | RecognitionEnd | None:
        while True:
            try:
                return await results.take(is_gone, self._keep_alive)
            except NothingReceived:
                await send_piece(send, KEEP_ALIVE)


async def _count_seconds(
    recognized: AsyncGenerator[Segment | RecognitionEnd, None], bill: Bill
) -> AsyncGenerator[Segment | RecognitionEnd, None]:
    """Bill all seconds of a sound that was recognized to the end, else only those recognized."""
    async with aclosing(recognized) as items:
        async for item in items:
            bill.units = Units(
                seconds=round_up_seconds(item.end if isinstance(item, Segment) else item.duration)
            )
            yield item


async def _convert_to_wav(form: Form) -> tuple[Path, float]:
    """Convert the upload for recognition. Return the new file, next to it, and its length in seconds."""
    path = form.file.path
    inspected = await inspect_file(path, wanted="audio", sha256=form.file.sha256)
    wav = path.with_name("sound.wav")
    work = Transcode(path=str(path), out=str(wav), format="wav", limits=sound_limits())
    converted = await pools.files.run(transcode_sound, work, seconds=SOUND_SECONDS)
    seconds = max(converted.milliseconds, inspected.milliseconds or 0) / 1000
    size = (await asyncio.to_thread(wav.stat)).st_size
    return wav, max(seconds, recognition_seconds(size))


def _format_transcript(
    transcript: Transcript, request: TranscriptionRequest, task: Task
) -> tuple[bytes, bytes]:
    match request.format:
        case "json":
            return JSON, msgspec.json.encode(as_json(transcript, task))
        case "verbose_json":
            return JSON, msgspec.json.encode(as_verbose_json(transcript, task, request.granularities))
        case "text":
            return TEXT, as_text(transcript).encode()
        case "srt":
            return TEXT, as_srt(transcript).encode()
        case "vtt":
            return TEXT, as_vtt(transcript).encode()
