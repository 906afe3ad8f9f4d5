"""Parsers of query parameters. Each error names its parameter."""

import re
from collections.abc import Collection

from django.http import QueryDict

from core.exceptions import BadRequest

ARRAY_LENGTH_LIMIT = 100
_INTEGER = re.compile(r"-?[0-9]{1,30}")


def parse_integer(query: QueryDict, name: str, *, least: int, most: int, default: int | None = None) -> int:
    """Parse a whole number; without a default it is required."""
    text = query.get(name)
    if text is None:
        if default is None:
            raise BadRequest(
                f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
            )
        return default
    if not _INTEGER.fullmatch(text):
        raise BadRequest(f"Invalid type for '{name}': expected an integer.", param=name, code="invalid_type")
    number = int(text)
    if number < least:
        raise BadRequest(
            f"Invalid '{name}': it is below {least}.", param=name, code="integer_below_min_value"
        )
    if number > most:
        raise BadRequest(f"Invalid '{name}': it is above {most}.", param=name, code="integer_above_max_value")
    return number


def parse_text(query: QueryDict, name: str) -> str | None:
    """Parse a text; None if it was not sent."""
    text = query.get(name)
    if text is not None and "\x00" in text:
        raise BadRequest(f"Invalid value for '{name}': it holds a NUL character.", param=name)
    return text


def parse_choice(query: QueryDict, name: str, choices: Collection[str], default: str) -> str:
    """Parse one of these words."""
    return check_choice(query.get(name, default), name, choices)


def parse_choices(query: QueryDict, name: str, known: Collection[str]) -> tuple[str, ...]:
    """Parse any number of the known words, in the order in which they were sent."""
    return tuple(check_choice(text, name, known) for text in parse_array(query, name))


def parse_array(query: QueryDict, name: str, *, separator: str = ",") -> tuple[str, ...]:
    """Parse a list of values, each counted once.

    Clients write `name[]=a&name[]=b`, `name=a&name=b` or `name=a,b`.
    """
    raw_values = [*query.getlist(name), *query.getlist(f"{name}[]")]
    parts = [part for text in raw_values for part in (text.split(separator) if separator else [text])]
    values = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if len(values) > ARRAY_LENGTH_LIMIT:
        raise BadRequest(
            f"Invalid '{name}': it has more than {ARRAY_LENGTH_LIMIT} values.",
            param=name,
            code="array_above_max_length",
        )
    if any("\x00" in value for value in values):
        raise BadRequest(f"Invalid value for '{name}': it holds a NUL character.", param=name)
    return values


def check_choice(text: str, name: str, known: Collection[str]) -> str:
    if text not in known:
        among = ", ".join(repr(word) for word in known)
        raise BadRequest(f"Invalid value for '{name}': it is none of {among}.", param=name)
    return text


def check_length(text: str, name: str, most: int) -> None:
    """Raise `BadRequest` for a text of more characters."""
    if len(text) > most:
        raise BadRequest(
            f"Invalid '{name}': {len(text)} characters are too many, {most} are allowed.",
            param=name,
            code="string_above_max_length",
        )
