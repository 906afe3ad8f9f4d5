"""The parts of a message's content."""

from typing import Any

from rest_framework.fields import empty

from core.validation import exceptions
from core.validation.fields import DescribedField, EnumField, Reference, StrictSerializer, StringField

DETAILS = ("auto", "low", "high", "original")


def _check_exactly_one(attrs: dict[str, Any], first: str, second: str) -> dict[str, Any]:
    """Check that exactly one of two fields is given: with both, nobody could tell what the part is."""
    if first not in attrs and second not in attrs:
        raise exceptions.missing(first)
    if first in attrs and second in attrs:
        raise exceptions.wrong_value(f"'{first}' and '{second}' exclude each other").at("file_id")
    return attrs


class TextContentSerializer(StrictSerializer):
    """A piece of text."""

    type = EnumField(("text",), help_text="Which kind of part it is.")
    text = StringField(help_text="What is said.")


class ImageReferenceSerializer(StrictSerializer):
    """Where a picture is: at an address, or among the uploads. Exactly one of `url` and `file_id`."""

    url = StringField(
        required=False, help_text="An http(s) address, which the service fetches, or a data URL with base64."
    )
    file_id = StringField(
        required=False, max_length=256, help_text="An upload to /v1/files, instead of an address."
    )
    detail = EnumField(
        DETAILS,
        required=False,
        help_text="How closely the model looks. `low` costs fewer tokens where the model knows it.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _check_exactly_one(attrs, "url", "file_id")


class ImageUrlField(DescribedField):
    """A URL, or an object with one; read as the object."""

    _object = ImageReferenceSerializer()

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        if type(data) is str:
            return {"url": data}
        if type(data) is not dict:
            raise exceptions.wrong_type("a string or an object", data)
        return self._object.run_validation(data)

    def describe(self, reference: Reference) -> dict[str, Any]:
        return {"oneOf": [{"type": "string", "format": "uri"}, reference(self._object)]}


class ImageContentSerializer(StrictSerializer):
    """A picture: PNG, JPEG, WebP, GIF, HEIC or AVIF. A model that does not see is given the text in it."""

    type = EnumField(("image_url",), help_text="Which kind of part it is.")
    image_url = ImageUrlField(help_text="The picture: its address, or an object that names it.")


class InputAudioSerializer(StrictSerializer):
    """A sound: its bytes, or an upload. Exactly one of `data` and `file_id`."""

    data = StringField(required=False, help_text="Base64, or a data URL.")  # type: ignore[assignment]
    file_id = StringField(
        required=False, max_length=256, help_text="An upload to /v1/files, instead of `data`."
    )
    format = StringField(
        required=False,
        max_length=32,
        help_text="Such as `mp3` or `audio/webm;codecs=opus`. Needed for `pcm16` alone: other sounds are "
        "known by their bytes.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _check_exactly_one(attrs, "data", "file_id")


class AudioContentSerializer(StrictSerializer):
    """A sound. A model that does not hear is given what is said in it."""

    type = EnumField(("input_audio",), help_text="Which kind of part it is.")
    input_audio = InputAudioSerializer(help_text="The sound: its bytes, or an upload.")


class FileReferenceSerializer(StrictSerializer):
    """A file: its bytes, or an upload. Exactly one of `file_id` and `file_data`."""

    file_id = StringField(
        required=False, max_length=256, help_text="An upload to /v1/files, instead of `file_data`."
    )
    file_data = StringField(required=False, help_text="Its bytes, as base64 or a data URL.")
    filename = StringField(
        required=False,
        max_length=256,
        help_text="Its name, by which the model and readers of the history know it.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _check_exactly_one(attrs, "file_id", "file_data")


class FileContentSerializer(StrictSerializer):
    """A file. A picture or a sound is taken for what it is."""

    type = EnumField(("file",), help_text="Which kind of part it is.")
    file = FileReferenceSerializer(help_text="The file: its bytes, or an upload.")


class RefusalContentSerializer(StrictSerializer):
    """Why the model did not answer, as it said before."""

    type = EnumField(("refusal",), help_text="Which kind of part it is.")
    refusal = StringField(help_text="Why the model did not answer.")


TEXT = {"text": TextContentSerializer()}
ASSISTANT = {**TEXT, "refusal": RefusalContentSerializer()}
USER = {
    **TEXT,
    "image_url": ImageContentSerializer(),
    "input_audio": AudioContentSerializer(),
    "file": FileContentSerializer(),
}
