"""The two streaming endpoints, a plain ASGI application: Django would keep a thread for each open stream.

A request is read, authenticated, validated and handed to the service; the response follows the run's log.
"""

import asyncio
import logging
from hashlib import sha256

from django.db import InterfaceError, OperationalError
from starlette.types import Receive, Scope, Send

from accounts.asgi_auth import AsgiAuthenticator, Caller
from accounts.ratelimits.allowance import Allowance
from accounts.ratelimits.fallback_counters import FallbackCounters
from chatapi.completions.completion_request import CompletionRequest, DialectName
from chatapi.completions.dialects import DIALECTS
from chatapi.completions.runs.event_log import Viewer
from chatapi.completions.runs.run import Run
from chatapi.completions.service import CompletionService
from chatapi.validation.json_body import parse_json
from core.exceptions import ApiError, BadRequest, Internal, MethodNotAllowed, ServiceUnavailable
from core.http.body import ClientDisconnected, read_body
from core.http.responses import send_error, send_json
from engines.answers import Answer, AnswerEnd, Failure, assemble
from media.processing.sound.output_formats import sound_media_type

logger = logging.getLogger(__name__)

IDEMPOTENCY_KEY_LENGTH = 255
LARGE_BODY = 256 * 1024
"""Bodies of this many bytes or more are decoded in a thread: 20 MB take 0.2 s."""
STREAM_HEADERS = [
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-stream", b"true"),
]
EVENT_STREAM = b"text/event-stream; charset=utf-8"
NDJSON = b"application/x-ndjson"


class CompletionsEndpoint:
    """The `POST` endpoint of one dialect. `keep_alive` is in seconds, `max_body` in bytes."""

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
        self._service = service
        self._authenticator = authenticator
        self._counters = counters
        self._dialect = DIALECTS[dialect]
        self._max_body = max_body
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = await self._authenticate(scope)
            allowance = Allowance(self._counters, caller.principal)
            send = allowance.with_headers(send)
            request, running = await self._begin(caller, allowance, scope, receive)
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            await send_error(_stopping_error(), receive, send)
            raise
        except ApiError as refusal:
            await send_error(refusal, receive, send)
        except (OperationalError, InterfaceError) as error:
            logger.error("The database does not answer: %s", error)
            unavailable = ServiceUnavailable("The database does not answer.", code="database")
            await send_error(unavailable, receive, send)
        except Exception:
            logger.exception("A request could not be begun")
            await send_error(Internal(), receive, send)
        else:
            await self._respond(scope, receive, send, request, running)

    async def _authenticate(self, scope: Scope) -> Caller:
        if scope["method"] != "POST":
            raise MethodNotAllowed(scope["method"], "POST")
        return await self._authenticator.identify(scope)

    async def _begin(
        self, caller: Caller, allowance: Allowance, scope: Scope, receive: Receive
    ) -> tuple[CompletionRequest, Run]:
        await allowance.take_request()
        idempotency_key = _idempotency_key(scope)
        raw = await read_body(scope, receive, self._max_body)
        request = await self._parse(raw)
        running = await self._service.start_completion(
            caller,
            allowance,
            request,
            idempotency_key=idempotency_key,
            body_digest=sha256(raw).hexdigest() if idempotency_key else "",
        )
        return request, running

    async def _parse(self, raw: bytes) -> CompletionRequest:
        if len(raw) < LARGE_BODY:
            return self._dialect.parse(parse_json(raw))
        return await asyncio.to_thread(lambda: self._dialect.parse(parse_json(raw)))

    async def _respond(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request: CompletionRequest,
        running: Run,
    ) -> None:
        with Viewer(running.log, self._keep_alive) as viewer:
            watcher = asyncio.ensure_future(_watch_for_disconnect(receive, viewer))
            try:
                if request.stream:
                    await self._stream(scope, send, request, running, viewer)
                else:
                    await self._send_whole(receive, send, request, running, viewer)
            finally:
                watcher.cancel()
        if viewer.is_gone and running.log.ended is None:
            running.viewer_left()

    async def _stream(
        self,
        scope: Scope,
        send: Send,
        request: CompletionRequest,
        running: Run,
        viewer: Viewer,
    ) -> None:
        entries = await viewer.read()
        if entries and isinstance(entries[0], AnswerEnd) and entries[0].failure:
            # nothing was sent yet, so the failure can set the status
            await _send_failure(send, entries[0].failure, running)
            return
        ndjson = self._dialect.name == "native" and _accepts_ndjson(scope)
        encoder = self._dialect.encoder(
            running.head, include_usage=request.include_usage, n=request.n, ndjson=ndjson
        )
        content_type = (b"content-type", NDJSON if ndjson else EVENT_STREAM)
        headers = [content_type, *STREAM_HEADERS, _conversation_header(running)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while not viewer.is_gone:
                body = encoder.encode(entries) if entries else encoder.keep_alive
                is_last = bool(entries) and isinstance(entries[-1], AnswerEnd)
                await send({"type": "http.response.body", "body": body, "more_body": not is_last})
                if is_last:
                    return
                entries = await viewer.read()
        except asyncio.CancelledError:  # the server is stopping and can wait no longer
            body = encoder.encode([AnswerEnd("interrupted")])
            await send({"type": "http.response.body", "body": body, "more_body": False})
            raise

    async def _send_whole(
        self, receive: Receive, send: Send, request: CompletionRequest, running: Run, viewer: Viewer
    ) -> None:
        try:
            ended = await viewer.wait_until_ended()
        except asyncio.CancelledError:
            await send_error(_stopping_error(), receive, send)
            raise
        if ended is None:
            return
        if ended.failure or ended.state != "completed":
            await _send_failure(send, ended.failure or _stop_failure(ended), running)
            return
        assembler = assemble(
            running.log.entries,
            ended.finishes,
            choices=request.n,
            sound_type=sound_media_type(request.sound_format),
        )
        answer = Answer(
            head=running.head,
            choices=assembler.choices(),
            state=ended.state,
            usage=ended.usage,
            metadata=request.metadata,
            service_tier=request.params.get("service_tier"),
        )
        body = self._dialect.render(answer, assembler.sounds())
        await send_json(send, 200, body, [_conversation_header(running)])


def _stopping_error() -> ServiceUnavailable:
    """Return the error for a server that is stopping and can wait no longer."""
    return ServiceUnavailable("The service is stopping.", code="interrupted")


async def _watch_for_disconnect(receive: Receive, viewer: Viewer) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.leave()


async def _send_failure(send: Send, failure: Failure, running: Run) -> None:
    headers = [_conversation_header(running)]
    if failure.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(failure.retry_after))).encode()))
    error = ApiError(
        failure.message, param=failure.param, code=failure.code, status=failure.status, type=failure.type
    )
    await send_json(send, failure.status, error.envelope, headers)


def _stop_failure(ended: AnswerEnd) -> Failure:
    """Return why a whole answer cannot be sent: the completion was cancelled, or we are stopping."""
    if ended.state == "cancelled":
        return Failure(
            "The completion was cancelled.", type="invalid_request_error", code="cancelled", status=400
        )
    return Failure("The service is stopping.", code="interrupted", status=503, retry_after=1)


def _idempotency_key(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"idempotency-key" and value:
            key: str = value.decode("latin-1")
            if len(key) > IDEMPOTENCY_KEY_LENGTH or not key.isprintable():
                raise BadRequest(
                    f"An idempotency key has at most {IDEMPOTENCY_KEY_LENGTH} printable characters.",
                    param="Idempotency-Key",
                )
            return key
    return None


def _accepts_ndjson(scope: Scope) -> bool:
    return any(name == b"accept" and NDJSON in value.lower() for name, value in scope["headers"])


def _conversation_header(running: Run) -> tuple[bytes, bytes]:
    return b"x-conversation-id", running.conversation_id.encode()
