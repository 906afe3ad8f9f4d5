"""The database field for a message's parts."""

from core.compact_json_field import CompactJSONField
from engines.messages import Part, decode_parts, encode_parts


class PartsField(CompactJSONField):
    """A message's parts (`tuple[Part, ...]`) in the JSON form of `engines.messages`."""

    def decode(self, text: str) -> tuple[Part, ...]:
        return decode_parts(text)

    def encode(self, value: tuple[Part, ...]) -> str:
        return encode_parts(value)
