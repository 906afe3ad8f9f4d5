"""The database field for a message's parts."""

from typing import Any

from core.compact_json_field import CompactJSONField
from engines.messages import decode_parts, encode_parts


class PartsField(CompactJSONField):
    """A message's parts (`tuple[Part, ...]`) in the JSON form of `engines.messages`."""

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else decode_parts(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else encode_parts(value)
