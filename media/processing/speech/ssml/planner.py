"""From a well-formed document, element by element, to the plan of what is spoken, sentence by sentence.

`Say.text` is what is spoken, with no white space at its ends. `Say.written` is what stands in the transcript
for it where that differs, and so it carries the one space that parts words from those before: the plain
text is the transcripts of all items, put together.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from media.processing.speech.sentence_splitter import SentenceCutter
from media.processing.speech.speech_plan import InterpretAs, Mark, Pause, Say, SpeechItem
from media.processing.speech.ssml.attribute_values import LONGEST_BREAK, STRENGTHS, milliseconds_of
from media.processing.speech.ssml.prosody import Prosody
from media.processing.speech.ssml.vocabulary import ELEMENTS

SENTENCE_PAUSE = STRENGTHS["medium"]
PARAGRAPH_PAUSE = STRENGTHS["strong"]

_ATOM_LIMIT = 250
"""Characters of a `say-as`, `sub` or `phoneme`: one that goes on was never closed, and is not honoured."""
_PLACEHOLDER = "\ufffc"
"""Stands for such an element where sentences are looked for: nothing inside ends one."""

_TRAILING = re.compile(r"[.,;:!?…\"'”’»)\]}。、，！？；：」』）]+")
"""Signs that are spoken with the words before them, never alone."""


def transcript_of(items: Iterable[SpeechItem]) -> str:
    """The plain text."""
    return "".join(item.transcript for item in items if isinstance(item, Say))


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
        plain = manner.says(spoken, space + content)
        if self.name == "phoneme":
            return msgspec.structs.replace(plain, phonemes=self.attributes["ph"])
        if self.name == "say-as":
            interpret_as = cast("InterpretAs", self.attributes["interpret-as"])
            return msgspec.structs.replace(
                plain, interpret_as=interpret_as, format=self.attributes.get("format")
            )
        return plain


class _Run(msgspec.Struct):
    """Characters of the sentence in one manner; or an atom, one character; or a mark, none."""

    manner: Prosody
    length: int
    atom: _Atom | None = None
    mark: str | None = None


class _Silence:
    """The pauses between what was spoken last and what comes next, as one.

    Those of paragraphs and sentences do not add up, and give way to a `break`. There is none of them before
    the first word and after the last.
    """

    def __init__(self) -> None:
        self._between = 0
        self._breaks: int | None = None
        self._done = 0

    def structure(self, milliseconds: int) -> None:
        self._between = max(self._between, milliseconds)

    def explicit(self, milliseconds: int) -> None:
        self._breaks = min((self._breaks or 0) + milliseconds, LONGEST_BREAK)

    def due(self, *, has_spoken: bool, will_speak: bool) -> int:
        between = self._between if has_spoken and will_speak else 0
        due = max((between if self._breaks is None else self._breaks) - self._done, 0)
        self._done += due
        return due


class Planner:
    """Takes a document as `start`, `text` and `end`; attributes have been checked, nesting too."""

    def __init__(self) -> None:
        self._cutter = SentenceCutter(breaks_lines=False)
        self._manners = [Prosody()]
        self._runs: deque[_Run] = deque()
        self._growing: _Run | None = None
        self._atom: _Atom | None = None
        self._silence = _Silence()
        self._has_spoken = False
        self._needs_space = False
        self._items: list[SpeechItem] = []

    def take(self) -> list[SpeechItem]:
        """What is known to be complete and was not taken yet."""
        items, self._items = self._items, []
        return items

    def speak(self, language: str) -> None:
        """The document's own language, where it names one."""
        self._manners[0] = self._manners[0].within("speak", {"xml:lang": language})

    def text(self, text: str) -> None:
        if self._growing is not None:
            self._growing.length += len(text)
            if pieces := self._cutter.add(text):
                self._speak_all(pieces)
        elif self._atom is None:
            self._plain(text)
        else:
            self._atom.parts.append(text)
            self._atom.length += len(text)
            if self._atom.length > _ATOM_LIMIT:
                atom, self._atom = self._atom, None
                self._plain("".join(atom.parts))

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._growing = None
        if name == "break":
            self._break(attributes)
            return
        if name == "mark":
            self._runs.append(_Run(self._manners[-1], 0, mark=attributes["name"]))
            return
        if ELEMENTS[name].is_text_only:
            self._atom = _Atom(name, attributes)
        self._bound(name)
        self._manners.append(self._manners[-1].within(name, attributes))

    def end(self, name: str) -> None:
        self._growing = None
        if self._atom is not None:
            atom, self._atom = self._atom, None
            self._runs.append(_Run(self._manners[-1], 1, atom=atom))
            self._speak_all(self._cutter.add(_PLACEHOLDER))
        self._bound(name)
        self._manners.pop()

    def boundary(self, pause: int) -> None:
        """What was said is complete; so much silence goes before what follows."""
        self._flush()
        self._silence.structure(pause)

    def finish(self) -> None:
        """Nothing follows."""
        self._flush()
        self._pause(will_speak=False)

    def _bound(self, name: str) -> None:
        if name == "p":
            self.boundary(PARAGRAPH_PAUSE)
        elif name == "s":
            self.boundary(SENTENCE_PAUSE)

    def _break(self, attributes: Mapping[str, str]) -> None:
        self._flush()
        time = attributes.get("time")
        strength = STRENGTHS[attributes.get("strength", "medium")]
        self._silence.explicit((milliseconds_of(time) or 0) if time else strength)

    def _plain(self, text: str) -> None:
        self._growing = _Run(self._manners[-1], len(text))
        self._runs.append(self._growing)
        self._speak_all(self._cutter.add(text))

    def _flush(self) -> None:
        self._speak_all(self._cutter.rest())
        while self._runs:
            self._mark(self._runs.popleft())
        self._needs_space = self._has_spoken

    def _speak_all(self, pieces: list[str]) -> None:
        for piece in pieces:
            self._speak(piece)
        if not self._runs:
            self._growing = None

    def _speak(self, piece: str) -> None:
        first_item = len(self._items)
        place = 0
        while place < len(piece):
            run = self._runs[0]
            taken = piece[place : place + run.length]
            place += len(taken)
            run.length -= len(taken)
            if run.mark is not None:
                self._mark(run)
            elif run.atom is not None:
                self._say_atom(run.atom, run.manner)
            else:
                self._say(taken, run.manner, first_item)
            if not run.length:
                self._runs.popleft()

    def _mark(self, run: _Run) -> None:
        if run.mark is not None:
            self._pause(will_speak=False)
            self._items.append(Mark(run.mark))

    def _say(self, text: str, manner: Prosody, first_item: int) -> None:
        """One piece of a sentence; `first_item` is where the items of the sentence begin."""
        words = " ".join(text.split())
        if not words:
            self._needs_space = self._has_spoken
            return
        is_apart = self._needs_space or (text[0].isspace() and self._has_spoken)
        if not is_apart and len(self._items) > first_item and _TRAILING.fullmatch(words):
            self._say_trailing(words, manner)
        else:
            self._append(manner.says(words, f" {words}" if is_apart else words))
        self._needs_space = text[-1].isspace()

    def _say_trailing(self, signs: str, manner: Prosody) -> None:
        last = self._items[-1]
        if isinstance(last, Say):
            is_text = last.interpret_as is None and last.phonemes is None
            text = last.text + signs if is_text else last.text
            written = last.transcript + signs
            self._items[-1] = msgspec.structs.replace(
                last, text=text, written=None if written == text else written
            )
        else:
            self._append(manner.says(signs))

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
