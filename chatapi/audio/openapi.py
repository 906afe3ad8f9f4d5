"""The audio endpoints, which are no views, for the API document."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers

from chatapi.audio.examples import (
    PLAIN_TRANSCRIPT,
    SPEECH,
    SPOKEN,
    SPOKEN_PIECE,
    TIMED_TRANSCRIPT,
    TRANSCRIPT,
    TRANSCRIPT_END,
    TRANSCRIPT_PIECE,
    TRANSCRIPTION,
    TRANSLATED,
    TRANSLATION,
)
from chatapi.audio.speech_request import SPEECH_FORMATS, SpeechRequestSerializer
from chatapi.audio.transcription_request import FORMATS, GRANULARITIES
from core.http.openapi import Endpoint, asgi_endpoint, error_responses, rate_limit_headers
from media.api.openapi import UploadedField
from media.processing.sound.output_formats import FORMATS as SOUND_FORMATS

_REFUSALS = error_responses(400, 401, 403, 408, 413, 415, 429, 503)
SPEECH_TYPES = sorted({SOUND_FORMATS[name].media_type for name in SPEECH_FORMATS})


class TranslationFormSerializer(serializers.Serializer[Any]):
    """The form with which a sound is translated."""

    file = UploadedField(
        help_text="The sound: wav, mp3, flac, ogg, opus, webm, m4a, mp4 or aac, told by its bytes."
    )
    model = serializers.CharField(required=False, help_text="Any name: there is one recognizer.")
    prompt = serializers.CharField(
        required=False, help_text="What was said before, or words as they are to be spelled."
    )
    temperature = serializers.FloatField(
        min_value=0,
        max_value=1,
        default=0,
        help_text="How much chance there is in the choice of words: 0 for the least.",
    )
    response_format = serializers.ChoiceField(
        FORMATS,
        default="json",
        help_text="`json` and `verbose_json` answer with JSON, the latter with times; `text` with plain "
        "text; `srt` and `vtt` with subtitles.",
    )


class TranscriptionFormSerializer(TranslationFormSerializer):
    """The form with which a sound is transcribed."""

    language = serializers.CharField(
        required=False, help_text="What is spoken, by ISO 639-1, such as `en`. Left out: told by the sound."
    )
    timestamp_granularities = serializers.ListField(
        child=serializers.ChoiceField(GRANULARITIES),
        required=False,
        help_text="What times are told of, with `verbose_json`: `segment` (the default), `word`, or both. "
        "Also as `timestamp_granularities[]`.",
    )
    stream = serializers.BooleanField(
        default=False,
        help_text="Whether the text comes as events while it is recognized. `verbose_json`, `srt` and `vtt` "
        "are always answered whole.",
    )


class TranscriptUsageSerializer(serializers.Serializer[Any]):
    """What a transcript is billed by."""

    type = serializers.ChoiceField(["duration"], help_text="By what it is counted: the length of the sound.")
    seconds = serializers.IntegerField(help_text="The length of the sound, rounded up to whole seconds.")


class TranscriptSerializer(serializers.Serializer[Any]):
    """What is said in a sound."""

    text = serializers.CharField(help_text="All that is said.")
    usage = TranscriptUsageSerializer(
        required=False, help_text="What is billed. Absent of translations, as with OpenAI."
    )
    task = serializers.CharField(required=False, help_text="Of `verbose_json`: `transcribe` or `translate`.")
    language = serializers.CharField(
        required=False, help_text="Of `verbose_json`: the English name of the language, such as `norwegian`."
    )
    duration = serializers.FloatField(
        required=False, help_text="Of `verbose_json`: the length of the sound in seconds."
    )
    segments = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="Of `verbose_json`: the passages, each with `start` and `end` in seconds, its `text`, and "
        "what the recognizer tells of it.",
    )
    words = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="Of `verbose_json`, if words were asked for: each `word` with its `start` and `end` in "
        "seconds.",
    )


class TranscriptEventSerializer(serializers.Serializer[Any]):
    """An event of a transcript's stream."""

    type = serializers.ChoiceField(
        ["transcript.text.delta", "transcript.text.done"],
        help_text="`transcript.text.delta` for each new passage, `transcript.text.done` at the end.",
    )
    delta = serializers.CharField(
        required=False, help_text="Of a delta: what is new. All of them joined are the whole text."
    )
    text = serializers.CharField(required=False, help_text="At the end: the whole text.")
    usage = TranscriptUsageSerializer(required=False, help_text="At the end: what is billed.")


class SpeechUsageSerializer(serializers.Serializer[Any]):
    """Estimates in tokens, as OpenAI tells them. Billed are the characters of the input."""

    input_tokens = serializers.IntegerField(help_text="An estimate of the input's tokens.")
    output_tokens = serializers.IntegerField(help_text="An estimate of the sound's tokens, by its length.")
    total_tokens = serializers.IntegerField(help_text="Both together.")


class SpeechEventSerializer(serializers.Serializer[Any]):
    """An event of spoken sound."""

    type = serializers.ChoiceField(
        ["speech.audio.delta", "speech.audio.done"],
        help_text="`speech.audio.delta` for each piece of sound, `speech.audio.done` at the end.",
    )
    audio = serializers.CharField(
        required=False, help_text="Of a delta: the next bytes of the sound, as base64."
    )
    usage = SpeechUsageSerializer(required=False, help_text="At the end: estimates of the tokens.")


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
        examples=[SPEECH, SPOKEN_PIECE, SPOKEN],
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
        examples=[
            TRANSCRIPTION,
            TRANSCRIPT,
            TIMED_TRANSCRIPT,
            PLAIN_TRANSCRIPT,
            TRANSCRIPT_PIECE,
            TRANSCRIPT_END,
        ],
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
        examples=[TRANSLATION, TRANSLATED, PLAIN_TRANSCRIPT],
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
