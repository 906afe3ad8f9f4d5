"""The two streams an answer goes through: one that is always SSML, and one that never is."""

from media.processing.speech.sentence_splitter import Code, SentenceCutter
from media.processing.speech.speech_plan import Say, SpeechItem
from media.processing.speech.ssml import vocabulary
from media.processing.speech.ssml.document_writer import Document
from media.processing.speech.ssml.planner import Planner
from media.processing.speech.ssml.tokenizer import Tokenizer, find_special


class SpeakStream:
    """Makes one well-formed SSML 1.1 document of a text that comes in pieces and may be anything.

    All that `add` answered and `close` at the end are the document. Neither it nor the plan depends on how
    the text was cut into pieces. Without `is_spoken` nothing is planned.
    """

    def __init__(self, *, language: str = "en-US", is_spoken: bool = True) -> None:
        """`language` (BCP 47) is the document's unless it names its own; ValueError where it is none."""
        if (tag := vocabulary.language(language)) is None:
            raise ValueError(f"{language!r} is no language tag")
        self._planner = Planner() if is_spoken else None
        self._document = Document(tag, self._planner)
        self._lexer = Tokenizer(self._document)
        self._flows = False
        self._is_closed = False

    def add(self, text: str) -> str:
        """What may go out now: only what may still become a tag or an entity is held back."""
        if self._flows and text and not find_special(text):
            self._lexer.previous = text
            if self._planner is not None:
                self._planner.text(text)
            return text
        if self._is_closed or self._lexer.goes_on(text):
            return ""
        self._lexer.feed(text)
        self._flows = self._lexer.is_in_text and not self._document.is_outside
        return self._document.take()

    def close(self) -> str:
        """The end of the document, with what was held back; nothing the second time."""
        if self._is_closed:
            return ""
        self._is_closed = True
        self._flows = False
        self._lexer.finish()
        self._document.close()
        return self._document.take()

    def closing(self) -> str:
        """What would make a document of what has gone out so far."""
        return "" if self._is_closed else self._document.closing()

    def take(self, *, rest: bool = False) -> list[SpeechItem]:
        """What can be spoken now and was not taken yet: complete sentences; with `rest` all of it."""
        if self._planner is None:
            return []
        if rest:
            self._planner.finish()
        return self._planner.take()


class PlainStream:
    """The text goes out as it is, and is spoken as it is: markup is text. Code is written, never spoken."""

    def __init__(self, *, is_spoken: bool = True) -> None:
        self._cutter = SentenceCutter() if is_spoken else None
        self._items: list[SpeechItem] = []
        self._blank = ""

    def add(self, text: str) -> str:
        if self._cutter is not None and (pieces := self._cutter.add(text)):
            self._say(pieces)
        return text

    def close(self) -> str:
        return ""

    def closing(self) -> str:
        return ""

    def take(self, *, rest: bool = False) -> list[SpeechItem]:
        if rest and self._cutter is not None:
            self._say(self._cutter.rest())
        items, self._items = self._items, []
        return items

    def _say(self, pieces: list[str]) -> None:
        for piece in pieces:
            written = self._blank + piece
            is_code = isinstance(piece, Code)
            text = "" if is_code else " ".join(piece.split())
            is_item = bool(text) or is_code
            self._blank = "" if is_item else written
            if is_item:
                self._items.append(Say(text, None if written == text else written))
