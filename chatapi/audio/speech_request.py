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
    model = StringField(max_length=256, help_text="Any: there is one synthesizer for each voice.")
    input = SpeechInputField(max_length=INPUT_LENGTH)
    voice = VoiceField(help_text="One of `GET /v1/audio/voices`, such as OpenAI's names.")
    instructions = StringField(required=False, help_text="Taken, and not heeded.")
    response_format = EnumField(SPEECH_FORMATS, required=False, default="mp3")
    speed = NumberField(required=False, min_value=SLOWEST, max_value=FASTEST, default=1.0)
    stream_format = EnumField(("audio", "sse"), required=False, default="audio")
    ssml_enabled = BooleanField(required=False, default=False, help_text="Whether `input` is SSML 1.1.")
