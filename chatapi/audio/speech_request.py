"""The JSON body of a speech request."""

from typing import Any

from rest_framework.fields import empty

from core.validation import exceptions
from core.validation.fields import (
    BooleanField,
    EnumField,
    NumberField,
    StrictSerializer,
    StringField,
    VoiceField,
)

INPUT_LENGTH = 4096
SLOWEST, FASTEST = 0.25, 4.0
SPEECH_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


class SpeechInputField(StringField):
    def run_validation(self, data: Any = empty) -> str:
        text = super().run_validation(data)
        if not text.strip():
            raise exceptions.wrong_value("there is nothing in it to speak")
        return text


class SpeechRequestSerializer(StrictSerializer):
    """A text to be spoken."""

    model = StringField(max_length=256, help_text="Any name: the voice says who speaks.")
    input = SpeechInputField(
        max_length=INPUT_LENGTH, help_text="The text to speak, or SSML where `ssml_enabled` is true."
    )
    voice = VoiceField(help_text="One of `GET /v1/audio/voices`; OpenAI's names are among them.")
    instructions = StringField(required=False, help_text="Taken, and not heeded.")
    response_format = EnumField(
        SPEECH_FORMATS,
        required=False,
        default="mp3",
        help_text="The kind of sound. `pcm` is 24 kHz, mono, signed 16-bit little-endian, without a header.",
    )
    speed = NumberField(
        required=False,
        min_value=SLOWEST,
        max_value=FASTEST,
        default=1.0,
        help_text="How fast it is spoken: 2 is twice as fast.",
    )
    stream_format = EnumField(
        ("audio", "sse"),
        required=False,
        default="audio",
        help_text="`audio` answers with the sound's bytes as they are made, `sse` with events that hold "
        "them as base64.",
    )
    ssml_enabled = BooleanField(
        required=False, default=False, help_text="Whether `input` is SSML 1.1; see the guide on SSML."
    )
