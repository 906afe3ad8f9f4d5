"""The audio endpoints outside Django: they take large bodies and send sound as it is made."""

from typing import Any

from django.conf import settings
from django.urls import URLPattern, path

from accounts.asgi_auth import AsgiAuthenticator
from accounts.ratelimits.fallback_counters import FallbackCounters
from chatapi.audio.speech import SpeechEndpoint
from chatapi.audio.transcriptions import TranscriptionEndpoint
from media.processing.sandbox.pool import SandboxPool


def audio_routes(
    callers: AsgiAuthenticator, counters: FallbackCounters, synthesis: SandboxPool
) -> list[URLPattern]:
    """Return the routes for Channels' `URLRouter`."""
    keep_alive = settings.CHATAPI_KEEP_ALIVE_SECONDS
    endpoints: dict[str, Any] = {
        "v1/audio/speech": SpeechEndpoint(callers, counters, synthesis),
        "v1/audio/transcriptions": TranscriptionEndpoint(
            callers, counters, "transcribe", keep_alive=keep_alive
        ),
        "v1/audio/translations": TranscriptionEndpoint(callers, counters, "translate", keep_alive=keep_alive),
    }
    return [path(address, endpoint) for address, endpoint in endpoints.items()]
