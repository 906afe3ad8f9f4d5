"""`/v1/audio/voices`."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from chatapi.audio.voice_serializers import VoiceSerializer, serialize_voice
from core.http.openapi import error_responses
from core.http.pagination import list_body, list_serializer
from core.http.views import ApiView
from media.processing.speech.voices import all_voices


class VoiceListView(ApiView):
    @extend_schema(
        operation_id="listVoices",
        summary="The voices that can speak",
        tags=["audio"],
        responses={200: list_serializer(VoiceSerializer)} | error_responses(401),
    )
    def get(self, request: Request) -> Response:
        known = all_voices(settings.CHATAPI_VOICES_FOLDER)
        return Response(list_body(serialize_voice(voice, known) for voice in known))
