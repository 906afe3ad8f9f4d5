"""`/v1/audio/voices`."""

from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from msgspec import structs
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.http.examples import shown
from core.http.openapi import error_responses
from core.http.pagination import list_body, list_serializer
from core.http.serializers import ConstantField
from core.http.views import ApiView
from media.processing.speech.voices.registry import all_voices

_EXAMPLE = {
    "id": "joe",
    "object": "voice",
    "name": "Joe",
    "description": "A calm American voice.",
    "language": "en-US",
    "gender": "male",
    "engine": "piper",
    "alias_of": None,
    "aliases": ["alloy", "ash", "echo"],
}


@extend_schema_serializer(examples=[shown("The voice that is used by default", _EXAMPLE)])
class VoiceSerializer(serializers.Serializer[Any]):
    """A voice that can speak."""

    id = serializers.CharField(help_text="What requests name it by.")
    object = ConstantField("voice")
    name = serializers.CharField(help_text="Its name, for people.")
    description = serializers.CharField(help_text="What it sounds like, in a few words.")
    language = serializers.CharField(help_text="What it speaks, as a BCP 47 tag such as `en-US`.")
    gender = serializers.ChoiceField(
        ["female", "male", "neutral"],
        allow_null=True,
        help_text="What it sounds like; null if that is not known.",
    )
    engine = serializers.ChoiceField(
        ["piper", "espeak"],
        help_text="What synthesizes it: `piper` sounds natural, `espeak` is small and speaks many languages.",
    )
    alias_of = serializers.CharField(
        allow_null=True, help_text="The voice that lends its sound; null if it has one of its own."
    )
    aliases = serializers.ListField(
        child=serializers.CharField(), help_text="The voices that it lends its sound to."
    )


class VoiceListView(ApiView):
    permissions: ClassVar = {"GET": None}

    @extend_schema(
        operation_id="listVoices",
        summary="The voices that can speak",
        tags=["audio"],
        responses={200: list_serializer(VoiceSerializer)} | error_responses(401),
    )
    def get(self, request: Request) -> Response:
        voices = all_voices(settings.CHATAPI_VOICES_FOLDER)
        shown = (
            structs.asdict(voice) | {"aliases": [other.id for other in voices if other.alias_of == voice.id]}
            for voice in voices
        )
        return Response(list_body(map(VoiceSerializer().to_representation, shown)))
