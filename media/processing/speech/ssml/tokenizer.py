"""The tokenizer that splits whatever a model wrote into text and tags as it arrives.

- A tag is `<`, a name, attributes with values (quotes may be missing) and `>`. All else is text, including
  other `<` and `&`. What may still become a tag or an entity is held back, up to 1,024 characters.
- Comments, processing instructions, document types, characters that XML cannot express, `script`, `style` and
  `metadata` with their content, and lines that are a Markdown fence are dropped.
- CDATA sections, character references and the five predefined entities are resolved; other entities are text.

No decision depends on how the text was cut into pieces.
"""

import re
from collections.abc import Callable
from typing import Protocol

MARKUP_LIMIT = 1024

_NOT_XML = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_IGNORED_CHARACTERS = re.compile(f"[{_NOT_XML}\ufeff]+")

find_special = re.compile(f"[<>&`{_NOT_XML}\ufeff]").search
"""Text without any of these is only text, and goes out unchanged."""

_NAME = r"[A-Za-z_][\w:.-]*+"
_BARE_VALUE = r"[\w.%+#:-]++"
_VALUE = rf"""(?:"[^"<]*+"|'[^'<]*+'|{_BARE_VALUE})"""
_ATTRIBUTES = rf"(?:\s++{_NAME}\s*+=\s*+{_VALUE})*+"
_TAG = re.compile(rf"<(/?)({_NAME})({_ATTRIBUTES})\s*+(/?)>", re.ASCII)
_PARTIAL_ATTRIBUTE = rf"""\s++{_NAME}\s*+(?:=\s*+(?:(?P<quoted>"[^"<]*+|'[^'<]*+)|{_BARE_VALUE})?)?"""
_PARTIAL_TAG = re.compile(rf"<(?:/?(?:{_NAME}{_ATTRIBUTES}(?:{_PARTIAL_ATTRIBUTE}|\s*+/?))?)?", re.ASCII)
_in_name = re.compile(r"[\w:.-]+", re.ASCII).fullmatch
_in_quotes = re.compile(r"[^\"'<]*").fullmatch
_ATTRIBUTE = re.compile(rf"""({_NAME})\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|({_BARE_VALUE}))""", re.ASCII)

_PREDEFINED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ENTITY = re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_PARTIAL_ENTITY = re.compile(
    r"&(?:#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{0,6})?|a|am|amp|ap|apo|apos|l|lt|g|gt|q|qu|quo|quot)?"
)

_FENCE = re.compile(r"`{3,8}+[A-Za-z0-9_+-]{0,20}+[ \t]{0,4}+(?=[\r\n<])")
_PARTIAL_FENCE = re.compile(r"`{1,2}|`{3,8}+[A-Za-z0-9_+-]{0,20}+[ \t]{0,4}+")

_COMMENT, _CDATA, _DOCTYPE = "<!--", "<![CDATA[", "<!DOCTYPE"
_WHOLE_DOCTYPE = re.compile(
    r"<!DOCTYPE(?:[^\[\]<>\"']|\"[^\"]*+\"|'[^']*+')*+(?:\[[^\]]*+\]\s*+)?>", re.IGNORECASE
)

_DROPPED_ELEMENTS = {
    name: re.compile(rf"</(?:{name}|speak)\s{{0,8}}>", re.IGNORECASE)
    for name in ("script", "style", "metadata")
}
_LONGEST_END = len("</metadata") + 9


class TokenSink(Protocol):
    is_outside: bool
    """Before or after the document, where white space is ignored."""

    def text(self, text: str) -> None: ...
    def start(self, name: str, attributes: dict[str, str], is_closed: bool) -> None: ...
    def end(self, name: str) -> None: ...


class Tokenizer:
    def __init__(self, sink: TokenSink) -> None:
        self.previous = ""
        """The text before this position, needed only to find the beginning of a line: empty after markup."""
        self._sink = sink
        self._held = ""
        self._extends: Callable[[str], object] | None = None
        self._read = self._read_text
        self._end_of_dropped: re.Pattern[str]

    @property
    def is_in_text(self) -> bool:
        """Whether text without a special character would only be text here."""
        return not self._held and self._read == self._read_text

    def extend_held_tag(self, text: str) -> bool:
        """Hold back text that only lengthens the partial tag being held, and return whether it does."""
        if self._extends is None or len(self._held) + len(text) >= MARKUP_LIMIT or not self._extends(text):
            return False
        self._held += text
        return True

    def feed(self, text: str) -> None:
        data = self._held + text
        self._held = ""
        self._extends = None
        index = 0
        while index < len(data):
            index = self._read(data, index)

    def finish(self) -> None:
        """End the text: a partial tag or fence is dropped, a partial entity is text."""
        held, self._held = self._held, ""
        if self._read == self._read_text:
            if held and not held.startswith(("<", "`")):
                self._emit_text(held)
        elif self._read == self._read_cdata and held:
            self._emit_text(held)

    def _hold(self, data: str, index: int) -> int:
        self._held = data[index:]
        return len(data)

    def _emit_text(self, text: str) -> None:
        if not (self._sink.is_outside and text.isspace()):
            self.previous = text
        self._sink.text(text)

    def _read_text(self, data: str, index: int) -> int:
        match = find_special(data, index)
        special = match.start() if match else len(data)
        if special > index:
            self._emit_text(data[index:special])
        if match is None:
            return special
        character = match[0]
        if character == "<":
            return self._read_markup(data, special)
        if character == "&":
            return self._read_entity(data, special)
        if character == "`":
            return self._read_fence(data, special)
        if character == ">":
            self._emit_text(character)
        return special + 1

    def _read_markup(self, data: str, index: int) -> int:
        following = data[index + 1 : index + 2]
        if following == "!":
            return self._read_declaration(data, index)
        if following == "?":
            return self._skip_past("?>", 2, data, index)
        if following and not following.isalpha() and following not in "/_":
            return self._emit_character(data, index)
        if (match := _TAG.match(data, index, index + MARKUP_LIMIT)) is not None:
            self.previous = ""
            self._read_tag(match)
            return match.end()
        if (partial := _PARTIAL_TAG.fullmatch(data, index)) is None or len(data) - index >= MARKUP_LIMIT:
            return self._emit_character(data, index)
        if partial["quoted"]:
            self._extends = _in_quotes
        elif data[-1].isalnum():
            self._extends = _in_name
        return self._hold(data, index)

    def _read_tag(self, match: re.Match[str]) -> None:
        slash, name, inside, closed = match.groups()
        name = name.lower().removeprefix("ssml:")
        if slash:
            self._sink.end(name)
            return
        if name in _DROPPED_ELEMENTS:
            if not closed:
                self._end_of_dropped = _DROPPED_ELEMENTS[name]
                self._read = self._skip_dropped
            return
        self._sink.start(name, _parse_attributes(inside) if inside else {}, bool(closed))

    def _read_declaration(self, data: str, index: int) -> int:
        opening = data[index : index + len(_CDATA)]
        if opening.startswith(_COMMENT):
            return self._skip_past("-->", 4, data, index)
        if opening == _CDATA:
            self.previous = ""
            self._read = self._read_cdata
            return index + len(_CDATA)
        if opening.upper() == _DOCTYPE:
            match = _WHOLE_DOCTYPE.match(data, index, index + MARKUP_LIMIT)
            return match.end() if match else self._hold_or_emit(data, index)
        if any(known.startswith(opening.upper()) for known in (_COMMENT, _CDATA, _DOCTYPE)):
            return self._hold_or_emit(data, index)
        return self._emit_character(data, index)

    def _skip_past(self, end: str, opening: int, data: str, index: int) -> int:
        found = data.find(end, index + opening, index + MARKUP_LIMIT)
        if found < 0:
            return self._hold_or_emit(data, index)
        self.previous = ""
        return found + len(end)

    def _hold_or_emit(self, data: str, index: int) -> int:
        if len(data) - index < MARKUP_LIMIT:
            return self._hold(data, index)
        return self._emit_character(data, index)

    def _emit_character(self, data: str, index: int) -> int:
        self._emit_text(data[index])
        return index + 1

    def _read_entity(self, data: str, index: int) -> int:
        match = _ENTITY.match(data, index)
        if match is not None and (character := _resolve_entity(match)):
            self._emit_text(character)
            return match.end()
        if match is None and _PARTIAL_ENTITY.fullmatch(data, index):
            return self._hold(data, index)
        return self._emit_character(data, index)

    def _read_fence(self, data: str, index: int) -> int:
        if self.previous and self.previous[-1] not in "\r\n":
            return self._emit_character(data, index)
        if match := _FENCE.match(data, index):
            return match.end()
        if _PARTIAL_FENCE.fullmatch(data, index):
            return self._hold(data, index)
        return self._emit_character(data, index)

    def _read_cdata(self, data: str, index: int) -> int:
        end = data.find("]]>", index)
        stop = end
        if end < 0:
            stop = len(data) - (2 if data.endswith("]]") else 1 if data.endswith("]") else 0)
            stop = max(stop, index)
        if text := _IGNORED_CHARACTERS.sub("", data[index:stop]):
            self._emit_text(text)
        if end < 0:
            return self._hold(data, stop)
        self.previous = ""
        self._read = self._read_text
        return end + len("]]>")

    def _skip_dropped(self, data: str, index: int) -> int:
        match = self._end_of_dropped.search(data, index)
        if match is None:
            return self._hold(data, max(index, len(data) - _LONGEST_END))
        self._read = self._read_text
        is_speak = match[0].lower().startswith("</speak")
        return match.start() if is_speak else match.end()


def _parse_attributes(inside: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(inside):
        value = next(group for group in match.groups()[1:] if group is not None)
        resolved = _ENTITY.sub(lambda entity: _resolve_entity(entity) or entity[0], value)
        attributes.setdefault(match[1].lower(), _IGNORED_CHARACTERS.sub("", resolved))
    return attributes


def _resolve_entity(entity: re.Match[str]) -> str | None:
    """Return the character that is meant, or None if XML has no such character."""
    decimal, hexadecimal, name = entity.groups()
    if name:
        return _PREDEFINED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    if number > 0x10FFFF or _IGNORED_CHARACTERS.match(chr(number)):
        return None
    return chr(number)
