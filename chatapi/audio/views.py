"""`/v1/audio/voices`."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from chatapi.audio.serializers import VoiceListSerializer, shown_voice
from core.http.openapi import refusals
from core.http.views import ApiView
from media.processing.speech.voices import voices


class VoiceListView(ApiView):
    @extend_schema(
        operation_id="listVoices",
        summary="The voices that can speak",
        tags=["audio"],
        responses={200: VoiceListSerializer} | refusals(401),
    )
    def get(self, request: Request) -> Response:
        known = voices(settings.CHATAPI_VOICES_FOLDER)
        return Response({"object": "list", "data": [shown_voice(voice, known) for voice in known]})
