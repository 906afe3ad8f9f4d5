"""Assembly of the ASGI application."""

import asyncio
import logging
from functools import partial
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.urls import path, re_path
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from accounts.asgi_auth import AsgiAuthenticator
from accounts.ratelimits.fallback_counters import FallbackCounters
from chatapi.audio.speech import SpeechEndpoint
from chatapi.audio.transcriptions import TranscriptionEndpoint
from chatapi.completions.endpoint import CompletionsEndpoint
from chatapi.completions.service import CompletionService
from chatapi.data_export.content import ExportContentEndpoint
from chatapi.middleware.body_limit import BodyLimit
from chatapi.middleware.request_id import RequestId
from chatapi.request_log.recorder import Recorder
from chatapi.request_log.routes import add_endpoint_routes
from chatapi.request_log.writer import call_recorder
from conversations.running_answers import SCOPE_KEY
from core.http.asgi_endpoint import MethodRouter
from media.api.downloads import ContentEndpoint, SignedEndpoint
from media.api.uploads import UploadEndpoint
from media.processing.sandbox import pools
from media.processing.sandbox.pool import SandboxPool

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
"""How long stopping waits for the records of the last calls."""

EXPOSED_HEADERS = [
    "x-request-id",
    "x-completion-id",
    "x-conversation-id",
    "x-message-id",
    "preference-applied",
    "x-stream",
    "retry-after",
    "retry-after-ms",
    *(
        f"x-ratelimit-{what}-{kind}"
        for kind in ("requests", "tokens")
        for what in ("limit", "remaining", "reset")
    ),
    "accept-ranges",
    "content-range",
    "etag",
]


def make_application(
    django_application: ASGIHandler,
    service: CompletionService,
    *,
    synthesis: SandboxPool = pools.synthesis,
    counters: FallbackCounters | None = None,
    recorder: Recorder = call_recorder,
) -> ASGIApp:
    """Build the application: the ASGI endpoints, Django for the rest, and middleware around all.

    `synthesis` is the pool that speaks for the speech endpoint, `counters` count what is taken from limits,
    and `recorder` records what became of calls.
    """
    callers = AsgiAuthenticator(service.revocations)
    counters = counters or FallbackCounters(settings.REDIS_URL)
    django: Any = BodyLimit(django_application, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    endpoints = _endpoints(service, callers, counters, django, synthesis)
    add_endpoint_routes(endpoints, django)
    http = URLRouter([*(path(url, endpoint) for url, endpoint in endpoints.items()), re_path("", django)])
    routed = ProtocolTypeRouter(
        {"http": StartOnFirstRequest(http, service), "lifespan": Lifespan(service, counters, recorder)}
    )
    with_cors = CORSMiddleware(
        routed,
        allow_origins=settings.CHATAPI_CORS_ORIGINS,
        allow_methods=["*"],
        allow_headers=["*"],
        allow_credentials="*" not in settings.CHATAPI_CORS_ORIGINS,
        expose_headers=EXPOSED_HEADERS,
    )
    return RequestId(with_cors if settings.CHATAPI_CORS_ORIGINS else routed, recorder)


def _endpoints(
    service: CompletionService,
    callers: AsgiAuthenticator,
    counters: FallbackCounters,
    django: ASGIApp,
    synthesis: SandboxPool,
) -> dict[str, Any]:
    """Return the endpoints outside Django by URL: they stream, or take or send a large body."""
    keep_alive = settings.CHATAPI_KEEP_ALIVE_SECONDS
    completions = partial(
        CompletionsEndpoint,
        service,
        callers,
        counters,
        max_body=settings.CHATAPI_MAX_BODY_BYTES,
        keep_alive=keep_alive,
    )
    transcriptions = partial(TranscriptionEndpoint, callers, counters, keep_alive=keep_alive)
    return {
        "chat/completions": completions("native"),
        "v1/chat/completions": MethodRouter(completions("openai"), django),
        "v1/files": MethodRouter(UploadEndpoint(callers), django),
        "v1/files/<str:file_id>/content": ContentEndpoint(callers),
        "media/<str:token>": SignedEndpoint(),
        "v1/me/exports/<str:export_id>/content": ExportContentEndpoint(callers),
        "v1/audio/speech": SpeechEndpoint(callers, counters, synthesis),
        "v1/audio/transcriptions": transcriptions("transcribe"),
        "v1/audio/translations": transcriptions("translate"),
    }


class StartOnFirstRequest:
    """Middleware that starts the service and passes it to Django's views.

    It starts before the first request, for servers without a lifespan, such as Daphne.
    """

    def __init__(self, application: ASGIApp, service: CompletionService) -> None:
        self._application = application
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._service.is_started:
            await self._service.start()
        await self._application({**scope, SCOPE_KEY: self._service}, receive, send)


class Lifespan:
    """The ASGI lifespan: starts and stops the service with the server."""

    def __init__(self, service: CompletionService, counters: FallbackCounters, recorder: Recorder) -> None:
        self._service = service
        self._counters = counters
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._service.start()
                except Exception as error:
                    logger.exception("The service could not start")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._service.stop()
                await self._counters.close()
                await asyncio.to_thread(self._recorder.flush, FLUSH_SECONDS)
                await send({"type": "lifespan.shutdown.complete"})
                return
