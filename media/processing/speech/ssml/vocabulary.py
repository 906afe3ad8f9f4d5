"""The supported part of SSML 1.1: elements, their attributes and values, and where each is allowed."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args
from xml.sax.saxutils import escape

import msgspec

from media.processing.speech.speech_plan import DATE_FORMATS, TIME_FORMATS, InterpretAs
from media.processing.speech.ssml import attribute_values

NAMESPACE = "http://www.w3.org/2001/10/synthesis"
DEPTH_LIMIT = 32
VALUE_LIMIT = 512
"""The most characters of one attribute's value."""

Validator = Callable[[str], str | None]
"""Returns the value as SSML 1.1 writes it, or None if it is not valid."""

INTERPRETATIONS = frozenset(get_args(InterpretAs))

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{1,8}){0,4}", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9_.:+-]{1,32}")


def language(value: str) -> str | None:
    """Return the value as a BCP 47 tag, or None if it is none; `en_US` is read as `en-US`."""
    tag = value.replace("_", "-")
    return tag if _LANGUAGE.fullmatch(tag) else None


def one_of(choices: Iterable[str]) -> Validator:
    allowed = frozenset(choices)
    return lambda value: value.lower() if value.lower() in allowed else None


def up_to_length(limit: int) -> Validator:
    return lambda value: value if 0 < len(value) <= limit else None


def token(value: str) -> str | None:
    return value if _TOKEN.fullmatch(value) else None


def languages(value: str) -> str | None:
    tags = [language(tag) for tag in value.split()]
    return " ".join(tag for tag in tags if tag) if tags and all(tags) else None


def whole_number(value: str) -> str | None:
    return value if value.isascii() and value.isdecimal() and len(value) <= 3 else None


class Element(msgspec.Struct, frozen=True):
    attributes: dict[str, Validator] = {}
    required: tuple[str, ...] = ()
    defaults: dict[str, str] = {}
    """Used for attributes that are missing altogether."""
    needs_any: bool = False
    """Without any attribute it would mean nothing, and SSML 1.1 forbids it."""
    is_empty: bool = False
    is_text_only: bool = False


ELEMENTS: dict[str, Element] = {
    "speak": Element({"xml:lang": language}),
    "p": Element({"xml:lang": language}),
    "s": Element({"xml:lang": language}),
    "lang": Element({"xml:lang": language}, required=("xml:lang",)),
    "voice": Element(
        {
            "name": up_to_length(128),
            "gender": one_of(("male", "female", "neutral")),
            "age": whole_number,
            "variant": whole_number,
            "languages": languages,
        },
        needs_any=True,
    ),
    "prosody": Element(
        {
            "rate": attribute_values.normalize_rate,
            "pitch": attribute_values.normalize_pitch,
            "volume": attribute_values.normalize_volume,
        },
        needs_any=True,
    ),
    "emphasis": Element({"level": one_of(("strong", "moderate", "none", "reduced"))}),
    "break": Element(
        {"strength": one_of(attribute_values.STRENGTHS), "time": attribute_values.normalize_time},
        is_empty=True,
    ),
    "mark": Element({"name": up_to_length(128)}, required=("name",), is_empty=True),
    "say-as": Element(
        {"interpret-as": one_of(INTERPRETATIONS), "format": token, "detail": token},
        required=("interpret-as",),
        is_text_only=True,
    ),
    "sub": Element({"alias": up_to_length(VALUE_LIMIT)}, required=("alias",), is_text_only=True),
    "phoneme": Element(
        {"ph": up_to_length(256), "alphabet": one_of(("ipa",))},
        required=("ph", "alphabet"),
        defaults={"alphabet": "ipa"},
        is_text_only=True,
    ),
}


def check_attributes(name: str, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return an element's valid attributes, as they may be written, and the names of the invalid ones."""
    element = ELEMENTS[name]
    accepted = {key: value for key, value in element.defaults.items() if key not in given}
    refused = []
    for key, value in given.items():
        check = element.attributes.get(key)
        value = " ".join(value.split())
        written = check(value) if check and len(value) <= VALUE_LIMIT else None
        if written is None or (key == "format" and not _is_allowed(value, given.get("interpret-as", ""))):
            refused.append(key)
        else:
            accepted[key] = written
    return accepted, refused


def has_required_attributes(name: str, attributes: Mapping[str, str]) -> bool:
    element = ELEMENTS[name]
    return all(key in attributes for key in element.required) and bool(attributes or not element.needs_any)


def is_allowed_inside(name: str, ancestors: Sequence[str]) -> bool:
    """Return whether the content model allows the element inside these ancestors, the root first."""
    if ancestors and ELEMENTS[ancestors[-1]].is_text_only:
        return False
    if name == "p":
        return not {"p", "s", "emphasis"}.intersection(ancestors)
    return name != "s" or not {"s", "emphasis"}.intersection(ancestors)


def start_tag(name: str, attributes: Mapping[str, str]) -> str:
    written = "".join(f' {key}="{escape(value, _QUOTE)}"' for key, value in attributes.items())
    return f"<{name}{written}{'/' if ELEMENTS[name].is_empty else ''}>"


def root_tag(language: str) -> str:
    return f'<speak version="1.1" xmlns="{NAMESPACE}" xml:lang="{language}">'


_QUOTE = {'"': "&quot;"}


def _is_allowed(format: str, interpret_as: str) -> bool:
    known = {"date": DATE_FORMATS, "time": TIME_FORMATS}.get(interpret_as.strip().lower())
    return known is None or format in known
