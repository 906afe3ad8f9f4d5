"""The content of a message in a request: a text, or a list of parts of certain kinds."""

from collections.abc import Mapping
from typing import Any

from rest_framework.fields import empty

from core.validation import exceptions
from core.validation.fields import (
    DescribedField,
    DiscriminatedField,
    Reference,
    StrictSerializer,
    validate_items,
)


class PartField(DiscriminatedField):
    def __init__(self, kinds: Mapping[str, StrictSerializer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kinds = kinds


class ContentField(DescribedField):
    """A text, or a list of parts, read as a text or a list of validated parts.

    With `strings`, a part may also be a plain string: it becomes a text part. The list has at least one part
    unless `may_be_empty`.
    """

    def __init__(
        self,
        kinds: Mapping[str, StrictSerializer],
        *,
        strings: bool = False,
        may_be_empty: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._part = PartField(kinds)
        self._strings = strings
        self._may_be_empty = may_be_empty

    def run_validation(self, data: Any = empty) -> str | list[dict[str, Any]]:
        if type(data) is str:
            return data
        if type(data) is not list:
            raise exceptions.wrong_type("a string or an array", data)
        if not data and not self._may_be_empty:
            raise exceptions.empty_array()
        return validate_items(data, self._run_part)

    def _run_part(self, data: Any) -> dict[str, Any]:
        if self._strings and type(data) is str:
            return {"type": "text", "text": data}
        return self._part.run_validation(data)

    def describe(self, reference: Reference) -> dict[str, Any]:
        part = self._part.describe(reference)
        lists = [{"type": "array", "items": part}]
        if self._strings:
            lists.insert(0, {"type": "array", "items": {"type": "string"}})
        return {"oneOf": [{"type": "string"}, *lists]}
