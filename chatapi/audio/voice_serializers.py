"""Voices as `/v1/audio/voices` lists them."""

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers

from core.http.serializers import ConstantField
from media.processing.speech.voices import Voice


class VoiceSerializer(serializers.Serializer[Voice]):
    id = serializers.CharField()
    object = ConstantField("voice")
    name = serializers.CharField()
    description = serializers.CharField()
    language = serializers.CharField(help_text="A BCP 47 tag.")
    gender = serializers.ChoiceField(["female", "male", "neutral"], allow_null=True)
    engine = serializers.ChoiceField(["piper", "espeak"])
    alias_of = serializers.CharField(allow_null=True, help_text="The voice that lends its sound.")
    aliases = serializers.ListField(child=serializers.CharField(), help_text="The voices it lends it to.")


def serialize_voice(voice: Voice, known: Iterable[Voice]) -> dict[str, Any]:
    return {
        "id": voice.id,
        "object": "voice",
        "name": voice.name,
        "description": voice.description,
        "language": voice.language,
        "gender": voice.gender,
        "engine": voice.engine,
        "alias_of": voice.alias_of,
        "aliases": [other.id for other in known if other.alias_of == voice.id],
    }
