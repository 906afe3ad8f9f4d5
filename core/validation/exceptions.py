"""Errors of strict fields: the code, the message, and the path of the wrong value."""

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import ValidationError

from core.exceptions import BadRequest

_MAX_SHOWN = 80
_JSON_TYPES = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    type(None): "null",
    list: "an array",
    dict: "an object",
}


class InvalidField(ValidationError):
    """One invalid field. `template` has `{}` in place of the path, which grows from the inside out."""

    def __init__(self, code: str, template: str) -> None:
        super().__init__(template, code)
        self.code = code
        self.template = template
        self.path: list[str | int] = []

    def at(self, *steps: str | int) -> "InvalidField":
        self.path[:0] = steps
        return self

    @property
    def param(self) -> str | None:
        """The path, such as `messages[0].content[1].image_url`."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step[:100]}" for step in self.path)
        return "".join(steps).removeprefix(".") or None

    @property
    def as_bad_request(self) -> BadRequest:
        message = self.template.replace("{}", self.param or "the body", 1)
        return BadRequest(message, param=self.param, code=self.code)


def missing(name: str) -> InvalidField:
    return InvalidField("missing_required_parameter", "Missing required parameter: '{}'.").at(name)


def wrong_type(expected: str, value: Any) -> InvalidField:
    got = _JSON_TYPES.get(type(value), "something else")
    return InvalidField("invalid_type", f"Invalid type for '{{}}': expected {expected}, but got {got}.")


def wrong_value(reason: str) -> InvalidField:
    """Build the error for a wrong value. `reason` is a sentence without its period."""
    return InvalidField("invalid_value", f"Invalid value for '{{}}': {reason}.")


def not_one_of(values: Iterable[str], value: str) -> InvalidField:
    supported = ", ".join(f"'{value}'" for value in values)
    return wrong_value(f"{quote_value(value)} is not one of {supported}")


def unsupported(what: str) -> InvalidField:
    return InvalidField("unsupported_parameter", f"Unsupported parameter: '{{}}': {what}.")


def out_of_range(
    kind: str, value: float, *, minimum: float | None = None, maximum: float | None = None
) -> InvalidField:
    """Build the error for a broken bound; pass only that bound. `kind` is `integer` or `decimal`."""
    side, bound, sign = ("below_min", minimum, ">=") if minimum is not None else ("above_max", maximum, "<=")
    return InvalidField(
        f"{kind}_{side}_value", f"Invalid '{{}}': {quote_value(value)} is not {sign} {bound}."
    )


def too_long(maximum: int, length: int) -> InvalidField:
    reason = f"{length} characters are too many, {maximum} are allowed"
    return InvalidField("string_above_max_length", f"Invalid '{{}}': {reason}.")


def too_many(maximum: int, length: int) -> InvalidField:
    reason = f"{length} items are too many, {maximum} are allowed"
    return InvalidField("array_above_max_length", f"Invalid '{{}}': {reason}.")


def empty_array() -> InvalidField:
    return InvalidField("empty_array", "Invalid '{}': the array is empty, at least one item is needed.")


def quote_value(value: Any) -> str:
    """Format a client's value so that a message may repeat it: quoted, on one line, and short."""
    text = repr(value if not isinstance(value, str) else value[:_MAX_SHOWN])
    return text if len(text) <= _MAX_SHOWN + 2 else f"{text[:_MAX_SHOWN]}…"
