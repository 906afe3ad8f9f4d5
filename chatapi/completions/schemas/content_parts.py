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
    type = EnumField(("text",))
    text = StringField()


class ImageReferenceSerializer(StrictSerializer):
    url = StringField(required=False)
    file_id = StringField(required=False, max_length=256)
    detail = EnumField(DETAILS, required=False)

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
    type = EnumField(("image_url",))
    image_url = ImageUrlField()


class InputAudioSerializer(StrictSerializer):
    data = StringField(required=False)  # type: ignore[assignment]
    file_id = StringField(required=False, max_length=256)
    format = StringField(required=False, max_length=32)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _check_exactly_one(attrs, "data", "file_id")


class AudioContentSerializer(StrictSerializer):
    type = EnumField(("input_audio",))
    input_audio = InputAudioSerializer()


class FileReferenceSerializer(StrictSerializer):
    file_id = StringField(required=False, max_length=256)
    file_data = StringField(required=False)
    filename = StringField(required=False, max_length=256)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _check_exactly_one(attrs, "file_id", "file_data")


class FileContentSerializer(StrictSerializer):
    type = EnumField(("file",))
    file = FileReferenceSerializer()


class RefusalContentSerializer(StrictSerializer):
    type = EnumField(("refusal",))
    refusal = StringField()


TEXT = {"text": TextContentSerializer()}
ASSISTANT = {**TEXT, "refusal": RefusalContentSerializer()}
USER = {
    **TEXT,
    "image_url": ImageContentSerializer(),
    "input_audio": AudioContentSerializer(),
    "file": FileContentSerializer(),
}
