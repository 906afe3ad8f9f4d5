"""The audio endpoints, which are no views, for the API document."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers

from chatapi.audio.speech_request import SPEECH_FORMATS, SpeechRequestSerializer
from chatapi.audio.transcription_request import FORMATS, GRANULARITIES
from core.http.openapi import Endpoint, asgi_endpoint, error_responses, rate_limit_headers
from media.api.openapi import UploadedField
from media.processing.sound.output_formats import FORMATS as SOUND_FORMATS

_REFUSALS = error_responses(400, 401, 403, 413, 429, 503)
SPEECH_TYPES = sorted({SOUND_FORMATS[name].media_type for name in SPEECH_FORMATS})


class TranslationFormSerializer(serializers.Serializer[Any]):
    file = UploadedField(help_text="wav, mp3, flac, ogg, opus, webm, m4a, mp4 or aac, by its bytes.")
    model = serializers.CharField(required=False, help_text="Any: there is one recognizer.")
    prompt = serializers.CharField(required=False, help_text="What came before, or spellings.")
    temperature = serializers.FloatField(min_value=0, max_value=1, default=0)
    response_format = serializers.ChoiceField(FORMATS, default="json")


class TranscriptionFormSerializer(TranslationFormSerializer):
    language = serializers.CharField(required=False, help_text="ISO 639-1; told by the sound where absent.")
    timestamp_granularities = serializers.ListField(
        child=serializers.ChoiceField(GRANULARITIES),
        required=False,
        help_text="Needs `verbose_json`; also as `timestamp_granularities[]`.",
    )
    stream = serializers.BooleanField(default=False)


class TranscriptUsageSerializer(serializers.Serializer[Any]):
    type = serializers.ChoiceField(["duration"])
    seconds = serializers.IntegerField()


class TranscriptSerializer(serializers.Serializer[Any]):
    text = serializers.CharField()
    usage = TranscriptUsageSerializer(required=False)
    task = serializers.CharField(required=False, help_text="This and what follows: of `verbose_json`.")
    language = serializers.CharField(required=False, help_text="Its English name.")
    duration = serializers.FloatField(required=False, help_text="Seconds.")
    segments = serializers.ListField(child=serializers.DictField(), required=False)
    words = serializers.ListField(child=serializers.DictField(), required=False)


class TranscriptEventSerializer(serializers.Serializer[Any]):
    type = serializers.ChoiceField(["transcript.text.delta", "transcript.text.done"])
    delta = serializers.CharField(required=False)
    text = serializers.CharField(required=False, help_text="All of it, at the end.")
    usage = TranscriptUsageSerializer(required=False)


class SpeechUsageSerializer(serializers.Serializer[Any]):
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()


class SpeechEventSerializer(serializers.Serializer[Any]):
    type = serializers.ChoiceField(["speech.audio.delta", "speech.audio.done"])
    audio = serializers.CharField(required=False, help_text="Base64.")
    usage = SpeechUsageSerializer(required=False)


ENDPOINTS: list[Endpoint] = [
    asgi_endpoint(
        "POST",
        "/v1/audio/speech",
        operation_id="createSpeech",
        summary="Speak a text",
        description="The sound is sent as it is made. With `stream_format: sse` as events: "
        "`speech.audio.delta` with base64, then `speech.audio.done` with usage.",
        tags=["audio"],
        parameters=rate_limit_headers("requests"),
        request=SpeechRequestSerializer,
        responses={(200, media_type): OpenApiTypes.BINARY for media_type in SPEECH_TYPES}
        | {(200, "text/event-stream"): SpeechEventSerializer}
        | _REFUSALS,
    ),
    asgi_endpoint(
        "POST",
        "/v1/audio/transcriptions",
        operation_id="createTranscription",
        summary="Write down what is said in a sound",
        description="Nothing of the upload is kept. With `stream` as events: `transcript.text.delta`, then "
        "`transcript.text.done`; the formats with times are always answered whole.",
        tags=["audio"],
        parameters=rate_limit_headers("requests"),
        request={"multipart/form-data": TranscriptionFormSerializer},
        responses={
            (200, "application/json"): TranscriptSerializer,
            (200, "text/plain"): OpenApiTypes.STR,
            (200, "text/event-stream"): TranscriptEventSerializer,
        }
        | _REFUSALS,
    ),
    asgi_endpoint(
        "POST",
        "/v1/audio/translations",
        operation_id="createTranslation",
        summary="Write down in English what is said in a sound",
        description="Nothing of the upload is kept.",
        tags=["audio"],
        parameters=rate_limit_headers("requests"),
        request={"multipart/form-data": TranslationFormSerializer},
        responses={
            (200, "application/json"): TranscriptSerializer,
            (200, "text/plain"): OpenApiTypes.STR,
        }
        | _REFUSALS,
    ),
]


def add_audio_endpoints(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Add the endpoints; a preprocessing hook of drf-spectacular."""
    return endpoints + ENDPOINTS
