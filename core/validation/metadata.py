"""Labels that clients give their objects: pairs of metadata, and tags."""

from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from core.validation import exceptions
from core.validation.fields import ListField, StringField

MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512
MAX_TAGS, MAX_TAG = 20, 64


class MetadataField(serializers.DictField):
    """At most 16 pairs of texts, keys up to 64 characters, values up to 512."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"child": StringField(max_length=MAX_VALUE), **options})

    def run_validation(self, data: Any = empty) -> dict[str, str]:
        if type(data) is not dict:
            raise exceptions.wrong_type("an object", data)
        if len(data) > MAX_PAIRS:
            raise exceptions.wrong_value(f"{len(data)} pairs are too many, {MAX_PAIRS} are allowed")
        for key, value in data.items():
            if len(key) > MAX_KEY:
                raise exceptions.too_long(MAX_KEY, len(key)).at(key)
            try:
                self.child.run_validation(value)
            except exceptions.InvalidField as problem:
                raise problem.at(key) from None
        return data


class TagsField(ListField):
    """At most 20 different texts of 1 to 64 characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"child": StringField(max_length=MAX_TAG), "max_length": MAX_TAGS, **options})

    def run_validation(self, data: Any = empty) -> list[str]:
        tags = super().run_validation(data)
        for index, tag in enumerate(tags):
            if not tag:
                raise exceptions.wrong_value("a tag has at least one character").at(index)
            if tag in tags[:index]:
                raise exceptions.wrong_value(f"{exceptions.quote_value(tag)} is there twice").at(index)
        return tags
