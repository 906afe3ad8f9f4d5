"""The writer that makes a well-formed SSML 1.1 document of any tags, in any order."""

from media.processing.speech.ssml.planner import Planner
from media.processing.speech.ssml.vocabulary import (
    DEPTH_LIMIT,
    ELEMENTS,
    check_attributes,
    has_required_attributes,
    is_allowed_inside,
    root_tag,
    start_tag,
)

_HTML = "br hr div h1 h2 h3 h4 h5 h6 ul ol li table tr td th pre blockquote"
_HTML_BLOCKS = frozenset(_HTML.split())
"""These tags are dropped like all unknown ones, but the words on either side of them are not joined."""

_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"}
"""XML reads a carriage return as a line's end unless it is written as a reference."""


class DocumentWriter:
    """The document being written; its open elements are a stack.

    A tag that is not allowed where it appears is left out, but its content is kept. Such an element is on the
    stack too, marked as unwritten, so that its end tag closes it and nothing else.
    """

    def __init__(self, language: str, planner: Planner | None) -> None:
        self.is_outside = True
        self._language = language
        self._planner = planner
        self._written: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self._too_deep = 0
        self._has_ended = False

    def take(self) -> str:
        written = "".join(self._written)
        self._written.clear()
        return written

    def close(self) -> None:
        if not self._open:
            self._enter()
        self._close_to(0)
        self._planner = None

    def text(self, text: str) -> None:
        if self.is_outside:
            if not (text := text.lstrip()):
                return
            self._enter()
        self._written.append(text.translate(_ESCAPES))
        if self._planner:
            self._planner.text(text)

    def start(self, name: str, attributes: dict[str, str], is_closed: bool) -> None:
        if name == "speak":
            self._start_speak(attributes, is_closed)
        elif name in ELEMENTS:
            self._enter()
            self._start_known(name, attributes, is_closed or ELEMENTS[name].is_empty)
        elif name in _HTML_BLOCKS:
            self._break_sentence()

    def end(self, name: str) -> None:
        if name == "speak":
            self._end_speak()
        elif name in _HTML_BLOCKS:
            self._break_sentence()
        elif name in ELEMENTS and not ELEMENTS[name].is_empty:
            self._end_known(name)

    def _break_sentence(self) -> None:
        """Make separate sentences of the words before and after this position."""
        if not self.is_outside:
            self.text("\n\n")

    def _enter(self, language: str | None = None) -> None:
        if not self._open:
            self._written.append(root_tag(language or self._language))
            self._open.append(("speak", True))
            if language and self._planner:
                self._planner.set_language(language)
        is_after, self.is_outside = self.is_outside, False
        if is_after and self._has_ended:
            self._break_sentence()

    def _start_speak(self, attributes: dict[str, str], is_closed: bool) -> None:
        if self.is_outside:
            self._enter(check_attributes("speak", _known_attributes("speak", attributes))[0].get("xml:lang"))
            self.is_outside = is_closed
            self._has_ended = is_closed
        else:
            self._break_sentence()
            if not is_closed:
                self._push("speak", is_written=False)

    def _end_speak(self) -> None:
        """End an inner `speak`, or else the document, which is closed only if no text follows."""
        if not self._open:
            return
        inner_speak = self._find_last("speak")
        self._close_to(inner_speak or 1)
        if inner_speak:
            self._break_sentence()
        else:
            self._too_deep = 0
            self.is_outside = self._has_ended = True

    def _start_known(self, name: str, given: dict[str, str], is_closed: bool) -> None:
        if name in ("p", "s"):
            self._close_ended(name)
        if len(self._open) >= DEPTH_LIMIT or self._too_deep:
            self._too_deep += not is_closed
            return
        attributes, _ = check_attributes(name, _known_attributes(name, given))
        if has_required_attributes(name, attributes) and is_allowed_inside(name, self._names()):
            self._write_start(name, attributes)
            if is_closed and not ELEMENTS[name].is_empty:
                self._close_to(len(self._open) - 1)
        elif not is_closed:
            self._push(name, is_written=False)

    def _write_start(self, name: str, attributes: dict[str, str]) -> None:
        self._written.append(start_tag(name, attributes))
        if not ELEMENTS[name].is_empty:
            self._push(name, is_written=True)
        if self._planner:
            self._planner.start(name, attributes)

    def _end_known(self, name: str) -> None:
        if self._too_deep:
            self._too_deep -= 1
        elif position := self._find_last(name):
            self._close_to(position)

    def _close_ended(self, name: str) -> None:
        """Close what a paragraph or sentence ends.

        A paragraph ends the open paragraph or sentence, and a sentence the open sentence; both end elements
        that can only hold text.
        """
        ended = ("p", "s") if name == "p" else ("s",)
        for position, (open_name, is_written) in enumerate(self._open):
            if is_written and (open_name in ended or ELEMENTS[open_name].is_text_only):
                self._close_to(position)
                self._too_deep = 0
                return

    def _push(self, name: str, *, is_written: bool) -> None:
        if len(self._open) < DEPTH_LIMIT:
            self._open.append((name, is_written))

    def _names(self) -> list[str]:
        return [name for name, is_written in self._open if is_written]

    def _find_last(self, name: str) -> int:
        """Return the position of the last open element of this name, or 0, the root's, if there is none."""
        for position in range(len(self._open) - 1, 0, -1):
            if self._open[position][0] == name:
                return position
        return 0

    def _close_to(self, depth: int) -> None:
        while len(self._open) > depth:
            name, is_written = self._open.pop()
            if is_written:
                self._written.append(f"</{name}>")
                if self._planner and self._open:
                    self._planner.end(name)


def _known_attributes(name: str, given: dict[str, str]) -> dict[str, str]:
    """Keep only the attributes that the element has, and translate what models write instead of them."""
    known = {_ALIASES.get((name, key), key): value for key, value in given.items()}
    if name == "say-as" and (kind := known.get("interpret-as")):
        known["interpret-as"] = _INTERPRETATIONS.get(kind.strip().lower(), kind.strip().lower())
    return {key: value for key, value in known.items() if key in ELEMENTS[name].attributes}


_ALIASES = {("lang", "lang"): "xml:lang", ("speak", "lang"): "xml:lang", ("voice", "xml:lang"): "languages"}
_INTERPRETATIONS = {
    "spell-out": "characters",
    "verbatim": "characters",
    "number": "cardinal",
    "phone": "telephone",
}
