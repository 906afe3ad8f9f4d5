"""What a model wrote, taken apart into text and tags as it comes, whatever it is.

- A tag is `<`, a name, attributes with values (quotes may be missing) and `>`. All else is text, `<` and `&`
  included. What may still become a tag or an entity is held back, for 1,024 characters at most.
- Comments, processing instructions, document types, characters that XML has no spelling for, `script`,
  `style` and `metadata` with their content, and lines that are a Markdown fence are dropped.
- CDATA sections, character references and the five predefined entities are resolved; other entities are text.

No decision depends on how the text was cut into pieces.
"""

import re
from collections.abc import Callable
from typing import Protocol

MARKUP_LIMIT = 1024

_NOT_XML = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_NO_MARKUP = re.compile(f"[{_NOT_XML}\ufeff]+")

find_special = re.compile(f"[<>&`{_NOT_XML}\ufeff]").search
"""Text without any of these is text, and goes out as it is."""

_NAME = r"[A-Za-z_][\w:.-]*+"
_BARE_VALUE = r"[\w.%+#:-]++"
_VALUE = rf"""(?:"[^"<]*+"|'[^'<]*+'|{_BARE_VALUE})"""
_ATTRIBUTES = rf"(?:\s++{_NAME}\s*+=\s*+{_VALUE})*+"
_TAG = re.compile(rf"<(/?)({_NAME})({_ATTRIBUTES})\s*+(/?)>", re.ASCII)
_HALF_ATTRIBUTE = rf"""\s++{_NAME}\s*+(?:=\s*+(?:(?P<quoted>"[^"<]*+|'[^'<]*+)|{_BARE_VALUE})?)?"""
_HALF_TAG = re.compile(rf"<(?:/?(?:{_NAME}{_ATTRIBUTES}(?:{_HALF_ATTRIBUTE}|\s*+/?))?)?", re.ASCII)
_in_name = re.compile(r"[\w:.-]+", re.ASCII).fullmatch
_in_quotes = re.compile(r"[^\"'<]*").fullmatch
_ATTRIBUTE = re.compile(rf"""({_NAME})\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|({_BARE_VALUE}))""", re.ASCII)

_PREDEFINED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ENTITY = re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_HALF_ENTITY = re.compile(
    r"&(?:#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{0,6})?|a|am|amp|ap|apo|apos|l|lt|g|gt|q|qu|quo|quot)?"
)

_FENCE = re.compile(r"`{3,8}+[A-Za-z0-9_+-]{0,20}+[ \t]{0,4}+(?=[\r\n<])")
_HALF_FENCE = re.compile(r"`{1,2}|`{3,8}+[A-Za-z0-9_+-]{0,20}+[ \t]{0,4}+")

_COMMENT, _CDATA, _DOCTYPE = "<!--", "<![CDATA[", "<!DOCTYPE"
_WHOLE_DOCTYPE = re.compile(
    r"<!DOCTYPE(?:[^\[\]<>\"']|\"[^\"]*+\"|'[^']*+')*+(?:\[[^\]]*+\]\s*+)?>", re.IGNORECASE
)

_DROPPED_WHOLE = {
    name: re.compile(rf"</(?:{name}|speak)\s{{0,8}}>", re.IGNORECASE)
    for name in ("script", "style", "metadata")
}
_LONGEST_END = len("</metadata") + 9


class TokenSink(Protocol):
    is_outside: bool
    """Before the document or after it, where white space is nothing."""

    def text(self, text: str) -> None: ...
    def start(self, name: str, attributes: dict[str, str], is_closed: bool) -> None: ...
    def end(self, name: str) -> None: ...


class Tokenizer:
    def __init__(self, sink: TokenSink) -> None:
        self.previous = ""
        """The text before this, as far as it matters for the beginning of a line: empty after markup."""
        self._sink = sink
        self._held = ""
        self._goes_on: Callable[[str], object] | None = None
        self._read = self._read_text
        self._end_of_dropped: re.Pattern[str]

    @property
    def is_in_text(self) -> bool:
        """Whether text without a special character is nothing but text here."""
        return not self._held and self._read == self._read_text

    def goes_on(self, text: str) -> bool:
        """Whether this only lengthens the half tag that is held: then it is held too, and that is all."""
        if self._goes_on is None or len(self._held) + len(text) >= MARKUP_LIMIT or not self._goes_on(text):
            return False
        self._held += text
        return True

    def feed(self, text: str) -> None:
        data = self._held + text
        self._held = ""
        self._goes_on = None
        place = 0
        while place < len(data):
            place = self._read(data, place)

    def finish(self) -> None:
        """The end came: half a tag or half a fence is dropped, half an entity is text."""
        held, self._held = self._held, ""
        if self._read == self._read_text:
            if held and not held.startswith(("<", "`")):
                self._text(held)
        elif self._read == self._read_cdata and held:
            self._text(held)

    def _hold(self, data: str, place: int) -> int:
        self._held = data[place:]
        return len(data)

    def _text(self, text: str) -> None:
        if not (self._sink.is_outside and text.isspace()):
            self.previous = text
        self._sink.text(text)

    def _read_text(self, data: str, place: int) -> int:
        match = find_special(data, place)
        special = match.start() if match else len(data)
        if special > place:
            self._text(data[place:special])
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
            self._text(character)
        return special + 1

    def _read_markup(self, data: str, place: int) -> int:
        following = data[place + 1 : place + 2]
        if following == "!":
            return self._read_declaration(data, place)
        if following == "?":
            return self._drop_to("?>", 2, data, place)
        if following and not following.isalpha() and following not in "/_":
            return self._not_markup(data, place)
        if (match := _TAG.match(data, place, place + MARKUP_LIMIT)) is not None:
            self.previous = ""
            self._read_tag(match)
            return match.end()
        if (half := _HALF_TAG.fullmatch(data, place)) is None or len(data) - place >= MARKUP_LIMIT:
            return self._not_markup(data, place)
        if half["quoted"]:
            self._goes_on = _in_quotes
        elif data[-1].isalnum():
            self._goes_on = _in_name
        return self._hold(data, place)

    def _read_tag(self, match: re.Match[str]) -> None:
        slash, name, inside, closed = match.groups()
        name = name.lower().removeprefix("ssml:")
        if slash:
            self._sink.end(name)
            return
        if name in _DROPPED_WHOLE:
            if not closed:
                self._end_of_dropped = _DROPPED_WHOLE[name]
                self._read = self._read_dropped
            return
        self._sink.start(name, _attributes(inside) if inside else {}, bool(closed))

    def _read_declaration(self, data: str, place: int) -> int:
        opening = data[place : place + len(_CDATA)]
        if opening.startswith(_COMMENT):
            return self._drop_to("-->", 4, data, place)
        if opening == _CDATA:
            self.previous = ""
            self._read = self._read_cdata
            return place + len(_CDATA)
        if opening.upper() == _DOCTYPE:
            match = _WHOLE_DOCTYPE.match(data, place, place + MARKUP_LIMIT)
            return match.end() if match else self._hold_or_text(data, place)
        if any(known.startswith(opening.upper()) for known in (_COMMENT, _CDATA, _DOCTYPE)):
            return self._hold_or_text(data, place)
        return self._not_markup(data, place)

    def _drop_to(self, end: str, opening: int, data: str, place: int) -> int:
        found = data.find(end, place + opening, place + MARKUP_LIMIT)
        if found < 0:
            return self._hold_or_text(data, place)
        self.previous = ""
        return found + len(end)

    def _hold_or_text(self, data: str, place: int) -> int:
        if len(data) - place < MARKUP_LIMIT:
            return self._hold(data, place)
        return self._not_markup(data, place)

    def _not_markup(self, data: str, place: int) -> int:
        self._text(data[place])
        return place + 1

    def _read_entity(self, data: str, place: int) -> int:
        match = _ENTITY.match(data, place)
        if match is not None and (character := _referred(match)):
            self._text(character)
            return match.end()
        if match is None and _HALF_ENTITY.fullmatch(data, place):
            return self._hold(data, place)
        return self._not_markup(data, place)

    def _read_fence(self, data: str, place: int) -> int:
        if self.previous and self.previous[-1] not in "\r\n":
            return self._not_markup(data, place)
        if match := _FENCE.match(data, place):
            return match.end()
        if _HALF_FENCE.fullmatch(data, place):
            return self._hold(data, place)
        return self._not_markup(data, place)

    def _read_cdata(self, data: str, place: int) -> int:
        end = data.find("]]>", place)
        stop = end
        if end < 0:
            stop = len(data) - (2 if data.endswith("]]") else 1 if data.endswith("]") else 0)
            stop = max(stop, place)
        if text := _NO_MARKUP.sub("", data[place:stop]):
            self._text(text)
        if end < 0:
            return self._hold(data, stop)
        self.previous = ""
        self._read = self._read_text
        return end + len("]]>")

    def _read_dropped(self, data: str, place: int) -> int:
        match = self._end_of_dropped.search(data, place)
        if match is None:
            return self._hold(data, max(place, len(data) - _LONGEST_END))
        self._read = self._read_text
        is_speak = match[0].lower().startswith("</speak")
        return match.start() if is_speak else match.end()


def _attributes(inside: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(inside):
        value = next(group for group in match.groups()[1:] if group is not None)
        resolved = _ENTITY.sub(lambda entity: _referred(entity) or entity[0], value)
        attributes.setdefault(match[1].lower(), _NO_MARKUP.sub("", resolved))
    return attributes


def _referred(entity: re.Match[str]) -> str | None:
    """The character that is meant, None where XML has no such character."""
    decimal, hexadecimal, name = entity.groups()
    if name:
        return _PREDEFINED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    if number > 0x10FFFF or _NO_MARKUP.match(chr(number)):
        return None
    return chr(number)
