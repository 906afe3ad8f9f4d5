"""What the requests of both dialects share besides their parameters: limits, and what excludes what."""

from functools import cached_property
from typing import Any

from chatapi.completions.schemas.parameters import ParametersSerializer
from core.validation import exceptions
from core.validation.fields import StrictSerializer, StringField

NAME_LIMIT = 256
MAX_MESSAGES = 10_000
"""A history of this length takes a second to check and store."""
MODALITIES = ("text", "audio")
SPOKEN_FORMATS = ("wav", "aac", "mp3", "flac", "opus", "pcm16")


class SpokenReferenceSerializer(StrictSerializer):
    """An earlier spoken answer, by its id alone."""

    id = StringField(required=False, max_length=256, help_text="The `audio.id` of that answer.")


class ChatRequestSerializer(ParametersSerializer):
    # The dialects declare all other fields: their documents order and require them differently.
    # (No docstring: drf-spectacular would show it for each dialect.)

    @cached_property
    def streams_by_default(self) -> bool:
        return bool(self.fields["stream"].default)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["messages"] and (attrs.get("context") or {}).get("conversation_id") is None:
            raise exceptions.empty_array().at("messages")
        streams = attrs.get("stream", self.streams_by_default)
        if "stream_options" in attrs and not streams:
            raise exceptions.wrong_value("it is only allowed with 'stream': true").at("stream_options")
        if "audio" in attrs.get("modalities", ()):
            self.check_sound(attrs, streams=streams)
        format = attrs.get("response_format", {})
        is_json = "json_schema" in format or format.get("type", "text") != "text"
        if attrs.get("ssml_enabled") and is_json:
            problem = exceptions.wrong_value("SSML cannot be asked for together with a JSON format")
            raise problem.at("ssml_enabled")
        return super().validate(attrs)

    def check_sound(self, attrs: dict[str, Any], *, streams: bool) -> None:
        if streams and attrs.get("audio", {}).get("format", "pcm16") != "pcm16":
            raise exceptions.wrong_value("a stream can only carry 'pcm16'").at("audio", "format")
