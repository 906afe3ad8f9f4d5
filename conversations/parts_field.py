"""The database field for a message's parts."""

from typing import TYPE_CHECKING, Any

from django.db import models

from engines.messages import decode_parts, encode_parts

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField


class PartsField(_TextField):
    """A message's parts (`tuple[Part, ...]`) in the JSON form of `engines.messages`."""

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else decode_parts(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else encode_parts(value)
