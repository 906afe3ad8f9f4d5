"""The planner: turns a well-formed document, element by element, into a speech plan, sentence by sentence.

`Say.text` is what is spoken, without white space at its ends. `Say.written` is what the transcript has
instead, where that differs; so it includes the one space that separates the words from those before. The
transcripts of all items, joined, are the plain text.
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import cast

import msgspec

from media.processing.speech.sentence_splitter import SentenceSplitter
from media.processing.speech.speech_plan import InterpretAs, Mark, Pause, Say, SpeechItem
from media.processing.speech.ssml.attribute_values import LONGEST_BREAK, STRENGTHS, parse_milliseconds
from media.processing.speech.ssml.prosody import Prosody
from media.processing.speech.ssml.vocabulary import ELEMENTS

SENTENCE_PAUSE = STRENGTHS["medium"]
PARAGRAPH_PAUSE = STRENGTHS["strong"]

_ATOM_LIMIT = 250
"""The most characters of a `say-as`, `sub` or `phoneme`: a longer one was never closed, and isn't honored."""
_PLACEHOLDER = "\ufffc"
"""Stands for such an element while sentences are split, because nothing inside it can end one."""

_TRAILING = re.compile(r"[.,;:!?…\"'”’»)\]}。、，！？；：」』）]+")
"""Punctuation that is spoken with the words before it, never alone."""


class _Atom(msgspec.Struct):
    name: str
    attributes: Mapping[str, str]
    parts: list[str] = []
    length: int = 0

    def item(self, manner: Prosody, space: str) -> Say | None:
        content = " ".join("".join(self.parts).split())
        spoken = self.attributes["alias"] if self.name == "sub" else content
        if self.name == "say-as" and not content:
            return None
        plain = manner.to_say(spoken, space + content)
        if self.name == "phoneme":
            return msgspec.structs.replace(plain, phonemes=self.attributes["ph"])
        if self.name == "say-as":
            interpret_as = cast("InterpretAs", self.attributes["interpret-as"])
            return msgspec.structs.replace(
                plain, interpret_as=interpret_as, format=self.attributes.get("format")
            )
        return plain


class _Span(msgspec.Struct):
    """Characters of a sentence with the same manner; or an atom, as one character; or a mark, as none."""

    manner: Prosody
    length: int
    atom: _Atom | None = None
    mark: str | None = None


class _Silence:
    """The pauses between what was spoken last and what comes next, combined.

    Pauses of paragraphs and sentences do not add up, and a `break` replaces them. They do not apply before
    the first word or after the last.
    """

    def __init__(self) -> None:
        self._structural = 0
        self._breaks: int | None = None
        self._returned = 0

    def add_structural(self, milliseconds: int) -> None:
        self._structural = max(self._structural, milliseconds)

    def add_break(self, milliseconds: int) -> None:
        self._breaks = min((self._breaks or 0) + milliseconds, LONGEST_BREAK)

    def due(self, *, has_spoken: bool, will_speak: bool) -> int:
        between = self._structural if has_spoken and will_speak else 0
        due = max((between if self._breaks is None else self._breaks) - self._returned, 0)
        self._returned += due
        return due


class Planner:
    """Plans a document from its `start`, `text` and `end` calls; attributes and nesting have been checked."""

    def __init__(self) -> None:
        self._cutter = SentenceSplitter(breaks_lines=False)
        self._manners = [Prosody()]
        self._spans: deque[_Span] = deque()
        self._open_span: _Span | None = None
        self._atom: _Atom | None = None
        self._silence = _Silence()
        self._has_spoken = False
        self._needs_space = False
        self._items: list[SpeechItem] = []

    def take(self) -> list[SpeechItem]:
        """Return the items that are known to be complete and were not taken yet."""
        items, self._items = self._items, []
        return items

    def set_language(self, language: str) -> None:
        """Set the document's own language, if it names one."""
        self._manners[0] = self._manners[0].within("speak", {"xml:lang": language})

    def text(self, text: str) -> None:
        if self._open_span is not None:
            self._open_span.length += len(text)
            if pieces := self._cutter.add(text):
                self._speak_all(pieces)
        elif self._atom is None:
            self._add_plain_text(text)
        else:
            self._atom.parts.append(text)
            self._atom.length += len(text)
            if self._atom.length > _ATOM_LIMIT:
                atom, self._atom = self._atom, None
                self._add_plain_text("".join(atom.parts))

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._open_span = None
        if name == "break":
            self._break(attributes)
            return
        if name == "mark":
            self._spans.append(_Span(self._manners[-1], 0, mark=attributes["name"]))
            return
        if ELEMENTS[name].is_text_only:
            self._atom = _Atom(name, attributes)
        self._add_block_boundary(name)
        self._manners.append(self._manners[-1].within(name, attributes))

    def end(self, name: str) -> None:
        self._open_span = None
        if self._atom is not None:
            atom, self._atom = self._atom, None
            self._spans.append(_Span(self._manners[-1], 1, atom=atom))
            self._speak_all(self._cutter.add(_PLACEHOLDER))
        self._add_block_boundary(name)
        self._manners.pop()

    def add_boundary(self, pause: int) -> None:
        """Complete what was said, and pause at least this long before what follows."""
        self._flush()
        self._silence.add_structural(pause)

    def finish(self) -> None:
        """Complete the plan, because nothing follows."""
        self._flush()
        self._pause(will_speak=False)

    def _add_block_boundary(self, name: str) -> None:
        if name == "p":
            self.add_boundary(PARAGRAPH_PAUSE)
        elif name == "s":
            self.add_boundary(SENTENCE_PAUSE)

    def _break(self, attributes: Mapping[str, str]) -> None:
        self._flush()
        time = attributes.get("time")
        strength = STRENGTHS[attributes.get("strength", "medium")]
        self._silence.add_break((parse_milliseconds(time) or 0) if time else strength)

    def _add_plain_text(self, text: str) -> None:
        self._open_span = _Span(self._manners[-1], len(text))
        self._spans.append(self._open_span)
        self._speak_all(self._cutter.add(text))

    def _flush(self) -> None:
        self._speak_all(self._cutter.take_rest())
        while self._spans:
            self._mark(self._spans.popleft())
        self._needs_space = self._has_spoken

    def _speak_all(self, pieces: list[str]) -> None:
        for piece in pieces:
            self._speak(piece)
        if not self._spans:
            self._open_span = None

    def _speak(self, piece: str) -> None:
        first_item = len(self._items)
        position = 0
        while position < len(piece):
            span = self._spans[0]
            part = piece[position : position + span.length]
            position += len(part)
            span.length -= len(part)
            if span.mark is not None:
                self._mark(span)
            elif span.atom is not None:
                self._say_atom(span.atom, span.manner)
            else:
                self._say(part, span.manner, first_item)
            if not span.length:
                self._spans.popleft()

    def _mark(self, span: _Span) -> None:
        if span.mark is not None:
            self._pause(will_speak=False)
            self._items.append(Mark(span.mark))

    def _say(self, text: str, manner: Prosody, first_item: int) -> None:
        """Say part of a sentence; `first_item` is the index of the sentence's first item."""
        words = " ".join(text.split())
        if not words:
            self._needs_space = self._has_spoken
            return
        is_separate = self._needs_space or (text[0].isspace() and self._has_spoken)
        if not is_separate and len(self._items) > first_item and _TRAILING.fullmatch(words):
            self._say_trailing(words, manner)
        else:
            self._append(manner.to_say(words, f" {words}" if is_separate else words))
        self._needs_space = text[-1].isspace()

    def _say_trailing(self, punctuation: str, manner: Prosody) -> None:
        last = self._items[-1]
        if isinstance(last, Say):
            is_text = last.interpret_as is None and last.phonemes is None
            text = last.text + punctuation if is_text else last.text
            written = last.transcript + punctuation
            self._items[-1] = msgspec.structs.replace(
                last, text=text, written=None if written == text else written
            )
        else:
            self._append(manner.to_say(punctuation))

    def _say_atom(self, atom: _Atom, manner: Prosody) -> None:
        if item := atom.item(manner, " " if self._needs_space else ""):
            self._append(item)
            self._needs_space = False

    def _append(self, say: Say) -> None:
        self._pause(will_speak=True)
        self._items.append(say)
        self._silence = _Silence()
        self._has_spoken = True

    def _pause(self, *, will_speak: bool) -> None:
        due = self._silence.due(has_spoken=self._has_spoken, will_speak=will_speak)
        if due:
            self._items.append(Pause(due))
