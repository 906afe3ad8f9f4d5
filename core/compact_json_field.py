"""A model field for compact JSON text: nothing is queried inside it, so no database has to parse it."""

from typing import TYPE_CHECKING, Any

import msgspec
from django.db import models

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField


class CompactJSONField(_TextField):
    """Python values as JSON text, the same on every database; None is stored as SQL's NULL."""

    def decode(self, text: str) -> Any:
        return msgspec.json.decode(text)

    def encode(self, value: Any) -> str:
        return msgspec.json.encode(value).decode()

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else self.decode(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else self.encode(value)

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""
