"""The strict parser for SSML that a user wrote, whose errors say where it is wrong.

SsmlError    not well-formed, beyond a limit, or not of the SSML supported here
"""

from typing import Any
from xml.parsers import expat

from media.processing.speech.speech_plan import SpeechItem
from media.processing.speech.ssml.planner import PARAGRAPH_PAUSE, Planner
from media.processing.speech.ssml.vocabulary import (
    DEPTH_LIMIT,
    ELEMENTS,
    NAMESPACE,
    VALUE_LIMIT,
    check_attributes,
    has_required_attributes,
    is_allowed_inside,
)

LENGTH_LIMIT = 65_536
"""The most characters of a document."""
ELEMENT_LIMIT = 4_000
ITEM_LIMIT = 4_000

_XML = "http://www.w3.org/XML/1998/namespace"
_SCHEMA_LOCATION = "http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
_SEPARATOR = "}"


class SsmlError(Exception):
    """Raised for SSML that is refused.

    `message` is a sentence that names the element and the place; `line` and `column` count from 1.
    """

    code = "invalid_ssml"

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def parse_ssml(text: str) -> list[SpeechItem]:
    """Parse one whole document, whose root is `speak`, in SSML's namespace or none, into a plan.

    Raises `SsmlError`. Nothing is expanded or fetched: document types, entities and processing instructions
    are refused where they begin.
    """
    if len(text) > LENGTH_LIMIT:
        raise SsmlError(f"The SSML is longer than {LENGTH_LIMIT} characters.")
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        before = text[: error.start]
        line, column = before.count("\n") + 1, error.start - before.rfind("\n")
        message = f"The SSML has half a character (line {line}, column {column})."
        raise SsmlError(message, line, column) from None
    return _Reader().read(data)


class _Reader:
    def __init__(self) -> None:
        self._planner = Planner()
        self._open: list[str] = []
        self._elements = 0
        self._parser = parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.ProcessingInstructionHandler = self._refuse_instruction

    def read(self, data: bytes) -> list[SpeechItem]:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            reason = expat.errors.messages[error.code]
            raise self._error(f"The SSML is not well-formed: {reason}", error.lineno, error.offset) from None
        self._planner.finish()
        items = self._planner.take()
        if len(items) > ITEM_LIMIT:
            raise self._error(f"The SSML has more than {ITEM_LIMIT} parts to be spoken")
        return items

    def _start(self, qualified: str, given: dict[str, str]) -> None:
        name = self._element_name(qualified)
        self._elements += 1
        if self._elements > ELEMENT_LIMIT:
            raise self._error(f"The SSML has more than {ELEMENT_LIMIT} elements")
        if len(self._open) >= DEPTH_LIMIT:
            raise self._error(f"<{name}> is nested deeper than {DEPTH_LIMIT} elements")
        self._check_position(name)
        attributes = self._attributes(name, given)
        self._open.append(name)
        if name != "speak":
            self._planner.start(name, attributes)
        elif language := attributes.get("xml:lang"):
            self._planner.set_language(language)

    def _end(self, qualified: str) -> None:
        name = self._open.pop()
        if name == "speak":
            self._planner.add_boundary(PARAGRAPH_PAUSE)
        elif not ELEMENTS[name].is_empty:
            self._planner.end(name)

    def _text(self, text: str) -> None:
        parent = self._open[-1]
        if ELEMENTS[parent].is_empty and not text.isspace():
            raise self._error(f"<{parent}> must be empty, but has text inside")
        self._planner.text(text)

    def _element_name(self, qualified: str) -> str:
        namespace, _, name = qualified.rpartition(_SEPARATOR)
        if namespace not in ("", NAMESPACE):
            raise self._error(f"<{name}> is of the namespace {_shorten(namespace)}, not of SSML")
        if name not in ELEMENTS:
            raise self._error(f"The element <{_shorten(name)}> is not supported")
        return name

    def _check_position(self, name: str) -> None:
        if not self._open:
            if name != "speak":
                raise self._error(f"The document begins with <{name}> instead of <speak>")
            return
        parent = self._open[-1]
        if ELEMENTS[parent].is_empty:
            raise self._error(f"<{parent}> must be empty, but has <{name}> inside")
        if name == "speak" or not is_allowed_inside(name, self._open):
            raise self._error(f"<{name}> may not stand inside <{self._forbidding_ancestor(name)}>")

    def _forbidding_ancestor(self, name: str) -> str:
        """Return the ancestor that forbids this element."""
        return next(
            (
                outer
                for index, outer in enumerate(self._open)
                if not is_allowed_inside(name, self._open[: index + 1])
            ),
            self._open[-1],
        )

    def _attributes(self, name: str, given: dict[str, str]) -> dict[str, str]:
        named = {_attribute_name(key): value for key, value in given.items()}
        if name == "speak":
            named.pop(_SCHEMA_LOCATION, None)
            if named.pop("version", "1.1") not in ("1.0", "1.1"):
                raise self._error("The version of <speak> must be 1.0 or 1.1")
        accepted, refused = check_attributes(name, named)
        if refused:
            raise self._attribute_error(name, refused[0], named[refused[0]])
        if not has_required_attributes(name, accepted):
            missing = [key for key in ELEMENTS[name].required if key not in accepted]
            raise self._error(
                f"<{name}> lacks its attribute {missing[0]}" if missing else f"<{name}> has no attribute"
            )
        return accepted

    def _attribute_error(self, name: str, key: str, value: str) -> SsmlError:
        if key not in ELEMENTS[name].attributes:
            return self._error(f"The attribute {_shorten(key)} of <{name}> is not supported")
        if len(value) > VALUE_LIMIT:
            return self._error(f"The value of {key} in <{name}> is longer than {VALUE_LIMIT} characters")
        return self._error(f'"{_shorten(value)}" is no value for {key} of <{name}>')

    def _refuse_doctype(self, *_: Any) -> None:
        raise self._error("A document type and entity declarations are not taken")

    def _refuse_instruction(self, target: str, _data: str) -> None:
        raise self._error(f"The processing instruction <?{_shorten(target)}?> is not taken")

    def _error(self, message: str, line: int | None = None, offset: int | None = None) -> SsmlError:
        line = self._parser.CurrentLineNumber if line is None else line
        column = (self._parser.CurrentColumnNumber if offset is None else offset) + 1
        return SsmlError(f"{message} (line {line}, column {column}).", line, column)


def _attribute_name(key: str) -> str:
    namespace, _, name = key.rpartition(_SEPARATOR)
    return f"xml:{name}" if namespace == _XML else key


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
