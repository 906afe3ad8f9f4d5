"""The two streaming endpoints, a plain ASGI application: Django would keep a thread for each open stream.

A request is read, authenticated, validated and handed to the service; the response follows the run's log. A
stream's head waits for the first event, so that a failure before it has its true status, unless the client
prefers to know the completion's id first (`Prefer: respond-early`).
"""

import asyncio
from hashlib import sha256

import msgspec
from starlette.types import Receive, Scope

from accounts.asgi_auth import AsgiAuthenticator
from accounts.asgi_endpoints import RateLimitedEndpoint
from accounts.permissions import Permission
from accounts.principal import Caller
from accounts.ratelimits.allowance import Allowance
from accounts.ratelimits.fallback_counters import FallbackCounters
from chatapi.completions.dialects import DIALECTS
from chatapi.completions.idempotency_keys import check_idempotency_key
from chatapi.completions.runs.event_log import Entry, EventLog, Viewer
from chatapi.completions.service import CompletionService
from chatapi.completions.starting_calls import CallCancelled
from conversations.completion_request import CompletionRequest, DialectName
from core.exceptions import ApiError, InsufficientQuota, ModelUnpriced
from core.http.asgi_endpoint import Receiver, Sender, on_disconnect
from core.http.body import ClientDisconnected, read_body
from core.http.call_record import CallRecord
from core.http.responses import EVENT_STREAM, end_stream, send_json, start_stream
from core.validation.json_body import parse_json
from engines.answers import Answer, AnswerEnd, Failure, assemble
from media.processing.sound.output_formats import sound_media_type

LARGE_BODY = 256 * 1024
"""Bodies of this many bytes or more are decoded in a thread: 20 MB take 0.2 s."""
NDJSON_STREAM = (b"content-type", b"application/x-ndjson")
RESPOND_EARLY = b"respond-early"


class CompletionsEndpoint(RateLimitedEndpoint):
    """The `POST` endpoint of one dialect. `keep_alive` is in seconds, `max_body` in bytes."""

    permission = Permission.COMPLETIONS

    def __init__(
        self,
        service: CompletionService,
        authenticator: AsgiAuthenticator,
        counters: FallbackCounters,
        dialect: DialectName,
        *,
        max_body: int,
        keep_alive: float,
    ) -> None:
        super().__init__(authenticator, counters)
        self._service = service
        self._dialect = DIALECTS[dialect]
        self._max_body = max_body
        self._keep_alive = keep_alive

    async def respond_within(
        self, allowance: Allowance, caller: Caller, scope: Scope, receive: Receiver, send: Sender
    ) -> None:
        log, request = await self._begin(allowance, caller, scope, receive, send.call)
        send.call.completion_id = log.head.id
        with Viewer(log, self._keep_alive) as viewer, on_disconnect(receive, viewer.leave):
            if request.stream:
                await self._stream(scope, send, request, viewer)
            else:
                await self._send_whole(send, request, viewer)

    async def _begin(
        self, allowance: Allowance, caller: Caller, scope: Scope, receive: Receive, call: CallRecord
    ) -> tuple[EventLog, CompletionRequest]:
        """Start the run; return its log, and the request without the bytes that came with it."""
        idempotency_key = _idempotency_key(scope)
        raw = await read_body(scope, receive, self._max_body)
        request = await self._parse(raw)
        call.model = self._service.served_model(request)
        log = await self._service.start_completion(
            caller,
            allowance,
            request,
            idempotency_key=idempotency_key,
            body_digest=sha256(raw).hexdigest() if idempotency_key else "",
        )
        return log, msgspec.structs.replace(request, uploads={}) if request.uploads else request

    async def _parse(self, raw: bytes) -> CompletionRequest:
        if len(raw) < LARGE_BODY:
            return self._dialect.parse(parse_json(raw))
        return await asyncio.to_thread(lambda: self._dialect.parse(parse_json(raw)))

    async def _stream(self, scope: Scope, send: Sender, request: CompletionRequest, viewer: Viewer) -> None:
        is_early = _prefers_early_response(scope)
        entries = () if is_early else await viewer.read()
        if entries and isinstance(entries[0], AnswerEnd) and entries[0].failure:
            # nothing was sent yet, so the failure can set the status
            await _send_failure(send, entries[0].failure, viewer.log)
            return
        if viewer.is_gone:
            raise ClientDisconnected
        ndjson = self._dialect.name == "native" and _accepts_ndjson(scope)
        encoder = self._dialect.encoder(
            viewer.log.head, include_usage=request.include_usage, n=request.n, ndjson=ndjson
        )
        content_type = NDJSON_STREAM if ndjson else EVENT_STREAM
        applied = [(b"preference-applied", RESPOND_EARLY)] if is_early else []
        await start_stream(send, content_type, (b"x-stream", b"true"), *_id_headers(viewer.log), *applied)
        send.encode_error = encoder.encode_error
        try:
            while not viewer.is_gone:
                body = encoder.encode(entries) if entries else encoder.keep_alive
                is_last = bool(entries) and isinstance(entries[-1], AnswerEnd)
                if is_last:
                    _note_end(send.call, entries[-1])
                await send({"type": "http.response.body", "body": body, "more_body": not is_last})
                if is_last:
                    return
                entries = await viewer.read()
        except asyncio.CancelledError:  # the server is stopping and can wait no longer
            send.call.fail("interrupted")
            await end_stream(send, encoder.encode([AnswerEnd("interrupted")]))
            raise
        raise ClientDisconnected

    async def _send_whole(self, send: Sender, request: CompletionRequest, viewer: Viewer) -> None:
        ended, log = await viewer.wait_until_ended(), viewer.log
        if ended is None:
            raise ClientDisconnected
        if ended.failure or ended.state != "completed":
            await _send_failure(send, ended.failure or _stop_failure(ended), log)
            return
        assembler = assemble(
            log.entries,
            ended.finishes,
            choices=request.n,
            sound_type=sound_media_type(request.sound_format),
        )
        answer = Answer(
            head=log.head,
            choices=assembler.choices(),
            state=ended.state,
            usage=ended.usage,
            metadata=request.metadata,
            service_tier=request.params.get("service_tier"),
        )
        body = self._dialect.render(answer, assembler.sounds())
        await send_json(send, 200, body, _id_headers(log))


def _note_end(call: CallRecord, end: Entry) -> None:
    """Note how an answer ended whose status was sent already."""
    if not isinstance(end, AnswerEnd) or end.state == "completed":
        return
    if end.failure is not None:
        _note_failure(call, end.failure)
    else:
        call.fail(end.state)


def _note_failure(call: CallRecord, failure: Failure) -> None:
    call.fail(failure.code, failure.param, failure.upstream_failure)


async def _send_failure(send: Sender, failure: Failure, log: EventLog) -> None:
    _note_failure(send.call, failure)
    headers = _id_headers(log)
    if failure.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(failure.retry_after))).encode()))
    if failure.code in {InsufficientQuota.code, ModelUnpriced.code}:
        headers.append((b"x-should-retry", b"false"))
    error = ApiError(
        failure.message, param=failure.param, code=failure.code, status=failure.status, type=failure.type
    )
    await send_json(send, failure.status, error.envelope, headers)


def _stop_failure(ended: AnswerEnd) -> Failure:
    """Return why a whole answer cannot be sent: the completion was cancelled, or we are stopping."""
    if ended.state == "cancelled":
        error = CallCancelled()
        return Failure(error.message, type=error.type, code=error.code, status=error.status)
    return Failure("The service is stopping.", code="interrupted", status=503, retry_after=1)


def _idempotency_key(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"idempotency-key" and value:
            return check_idempotency_key(value.decode("latin-1"), param="Idempotency-Key")
    return None


def _prefers_early_response(scope: Scope) -> bool:
    """Tell whether the head is to be sent before anything is known of the answer (RFC 7240)."""
    return any(
        preference.partition(b";")[0].strip().lower() == RESPOND_EARLY
        for name, value in scope["headers"]
        if name == b"prefer"
        for preference in value.split(b",")
    )


def _accepts_ndjson(scope: Scope) -> bool:
    return any(name == b"accept" and NDJSON_STREAM[1] in value.lower() for name, value in scope["headers"])


def _id_headers(log: EventLog) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-completion-id", log.head.id.encode())]
    if log.stored_ids is not None:
        conversation_id, message_id = log.stored_ids
        headers += [
            (b"x-conversation-id", conversation_id.encode()),
            (b"x-message-id", message_id.encode()),
        ]
    return headers
