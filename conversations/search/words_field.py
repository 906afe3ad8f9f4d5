"""The database field for the words of a document."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
else:
    _Field = models.Field


class WordsField(_Field):
    """A set of words: on PostgreSQL a `tsvector`, which its index reads; else text with spaces between."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "tsvector" if connection.vendor == "postgresql" else "text"

    def get_placeholder(self, value: Any, compiler: Any, connection: BaseDatabaseWrapper) -> str:
        return _PLACEHOLDERS.get(connection.vendor, "%s")

    def get_prep_value(self, value: Collection[str]) -> str:
        return " ".join(sorted(value))

    def from_db_value(
        self, value: str, expression: object, connection: BaseDatabaseWrapper
    ) -> frozenset[str]:
        if connection.vendor == "postgresql":  # as it is printed: 'one' 'other'
            return frozenset(word.strip("'") for word in value.split())
        return frozenset(value.split())


_PLACEHOLDERS = {"postgresql": "array_to_tsvector(string_to_array(%s, ' '))"}
