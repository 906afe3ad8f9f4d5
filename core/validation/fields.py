"""Strict, light DRF fields: nothing is coerced, and the first error is raised with its path.

DRF copies declared fields whenever a serializer is instantiated, so these are instantiated once and
shared: `run_validation` keeps no state, here or in a subclass.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from rest_framework import serializers
from rest_framework.fields import empty

from core.validation import exceptions

Reference = Callable[[serializers.BaseSerializer[Any]], dict[str, Any]]
"""A function that makes a serializer a component of the API document and returns the `$ref` to it."""


class StrictSerializer(serializers.Serializer[Any]):
    # An object. Unknown keys are ignored; null means absent if a key may be absent.
    # (No docstring: drf-spectacular would show it for each component.)

    also_required: tuple[str, ...] = ()
    """Keys that are optional in the native document, but without which the object means nothing."""
    keeps_null = False
    """Whether null is a value of its own for the keys that allow it, such as for no limit."""

    @cached_property
    def _by_name(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return dict(self.fields.items())

    @cached_property
    def _required(self) -> tuple[str, ...]:
        return (*(name for name, field in self._by_name.items() if field.required), *self.also_required)

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        if type(data) is not dict:
            raise exceptions.wrong_type("an object", data)
        for name in self._required:
            if name not in data:
                raise exceptions.missing(name)
        values: dict[str, Any] = {}
        for name, value in data.items():
            field = self._by_name.get(name)
            if field is None or (value is None and name not in self._required):
                if field is not None and self.keeps_null and field.allow_null:
                    values[name] = None
                continue
            try:
                values[name] = field.run_validation(value)
            except exceptions.InvalidField as problem:
                raise problem.at(name) from None
        return cast("dict[str, Any]", self.validate(values))


class DescribedField(ABC, serializers.Field[Any, Any, Any, Any]):
    """A field that provides its own OpenAPI schema."""

    @abstractmethod
    def describe(self, reference: Reference) -> dict[str, Any]: ...

    def to_representation(self, value: Any) -> Any:
        return value


class StringField(serializers.CharField):
    pattern: re.Pattern[str] | None = None
    pattern_in_words = ""

    def run_validation(self, data: Any = empty) -> str:
        if type(data) is not str:
            raise exceptions.wrong_type("a string", data)
        if self.max_length is not None and len(data) > self.max_length:
            raise exceptions.too_long(self.max_length, len(data))
        if self.pattern is not None and not self.pattern.fullmatch(data):
            raise exceptions.wrong_value(f"{exceptions.quote_value(data)} {self.pattern_in_words}")
        return data


class VoiceField(DescribedField):
    """A voice's id, or an object with the `id`; read as the id."""

    _id = StringField(max_length=128)

    def run_validation(self, data: Any = empty) -> str:
        if type(data) is not dict:
            return self._id.run_validation(data)
        if "id" not in data:
            raise exceptions.missing("id")
        try:
            return self._id.run_validation(data["id"])
        except exceptions.InvalidField as problem:
            raise problem.at("id") from None

    def describe(self, reference: Reference) -> dict[str, Any]:
        voice = {"type": "string", "maxLength": 128}
        id = voice | {"description": "The voice's id."}
        return {"oneOf": [voice, {"type": "object", "properties": {"id": id}, "required": ["id"]}]}


class NameField(StringField):
    """The name of a function or schema."""

    pattern = re.compile(r"[A-Za-z0-9_-]+")
    pattern_in_words = "may hold only letters, digits, underscores and dashes, at least one"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 64, **kwargs})


class EnumField(serializers.ChoiceField):
    def __init__(self, choices: Sequence[str], **kwargs: Any) -> None:
        super().__init__(choices=choices, **kwargs)
        self._values = tuple(choices)

    def run_validation(self, data: Any = empty) -> str:
        if type(data) is not str:
            raise exceptions.wrong_type("a string", data)
        if data not in self._values:
            raise exceptions.not_one_of(self._values, data)
        return data


class BooleanField(serializers.BooleanField):
    def run_validation(self, data: Any = empty) -> bool:
        if type(data) is not bool:
            raise exceptions.wrong_type("a boolean", data)
        return data


class IntegerField(serializers.IntegerField):
    def run_validation(self, data: Any = empty) -> int:
        if type(data) is not int:
            raise exceptions.wrong_type("an integer", data)
        _check_range("integer", data, self.min_value, self.max_value)
        return data


class NumberField(serializers.FloatField):
    def run_validation(self, data: Any = empty) -> float:
        if type(data) is not int and type(data) is not float:
            raise exceptions.wrong_type("a number", data)
        _check_range("decimal", data, self.min_value, self.max_value)
        return data


def _check_range(kind: str, value: float, minimum: float | None, maximum: float | None) -> None:
    if minimum is not None and value < minimum:
        raise exceptions.out_of_range(kind, value, minimum=minimum)
    if maximum is not None and value > maximum:
        raise exceptions.out_of_range(kind, value, maximum=maximum)


class ObjectField(serializers.DictField):
    """A free-form object."""

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        if type(data) is not dict:
            raise exceptions.wrong_type("an object", data)
        return data


class ListField(serializers.ListField):
    """An array whose items `child` checks; length limits as in DRF."""

    expected = "an array"

    def run_validation(self, data: Any = empty) -> list[Any]:
        if type(data) is not list:
            raise exceptions.wrong_type(self.expected, data)
        if self.min_length and not data:
            raise exceptions.empty_array()
        if self.max_length is not None and len(data) > self.max_length:
            raise exceptions.too_many(self.max_length, len(data))
        return validate_items(data, self.child.run_validation)


def validate_items(items: list[Any], check: Callable[[Any], Any]) -> list[Any]:
    values = []
    for index, item in enumerate(items):
        try:
            values.append(check(item))
        except exceptions.InvalidField as problem:
            raise problem.at(index) from None
    return values


class DiscriminatedField(DescribedField):
    """An object of one of several kinds, told apart by the text under `key`."""

    key = "type"
    default_kind: str | None = None
    kinds: Mapping[str, StrictSerializer] = {}

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        if type(data) is not dict:
            raise exceptions.wrong_type("an object", data)
        kind = data.get(self.key, self.default_kind)
        if type(kind) is not str:
            absent = self.key not in data
            raise (
                exceptions.missing(self.key)
                if absent
                else exceptions.wrong_type("a string", kind).at(self.key)
            )
        serializer = self.choose(kind, data)
        if serializer is None:
            raise exceptions.not_one_of(self.kinds, kind).at(self.key)
        return serializer.run_validation(data)

    def choose(self, kind: str, data: dict[str, Any]) -> StrictSerializer | None:
        return self.kinds.get(kind)

    def describe(self, reference: Reference) -> dict[str, Any]:
        unique = {id(serializer): serializer for serializer in self.kinds.values()}
        references = [reference(serializer) for serializer in unique.values()]
        return references[0] if len(references) == 1 else {"oneOf": references}
