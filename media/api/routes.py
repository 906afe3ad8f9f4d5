"""The endpoints that stand beside Django: what takes a large body, or sends one."""

from typing import Any

from django.conf import settings
from django.urls import URLPattern, path
from starlette.types import ASGIApp

from chatapi.completions.callers import Callers
from chatapi.ratelimits.counters import Counters
from media.api.connection import ByMethod
from media.api.downloads import ContentEndpoint, SignedEndpoint
from media.api.speaking import SpeechEndpoint
from media.api.transcribing import TranscriptionEndpoint
from media.api.uploads import UploadEndpoint


def routes(callers: Callers, counters: Counters, others: ASGIApp) -> list[URLPattern]:
    """For Channels' `URLRouter`; `others` serves what the API has at the same addresses."""
    keep_alive = settings.CHATAPI_KEEP_ALIVE_SECONDS
    endpoints: dict[str, Any] = {
        "v1/files": ByMethod(UploadEndpoint(callers), others),
        "v1/files/<str:file_id>/content": ContentEndpoint(callers),
        "media/<str:token>": SignedEndpoint(),
        "v1/audio/speech": SpeechEndpoint(callers, counters),
        "v1/audio/transcriptions": TranscriptionEndpoint(
            callers, counters, "transcribe", keep_alive=keep_alive
        ),
        "v1/audio/translations": TranscriptionEndpoint(callers, counters, "translate", keep_alive=keep_alive),
    }
    return [path(address, endpoint) for address, endpoint in endpoints.items()]
