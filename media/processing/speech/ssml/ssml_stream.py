"""The stream of an answer that is to be SSML: a well-formed document at any time."""

from media.processing.speech.speech_plan import SpeechItem
from media.processing.speech.ssml import vocabulary
from media.processing.speech.ssml.document_writer import DocumentWriter
from media.processing.speech.ssml.planner import Planner
from media.processing.speech.ssml.tokenizer import Tokenizer, find_special


class SsmlStream:
    """A stream that makes one well-formed SSML 1.1 document of any text, which arrives in pieces.

    The results of `add`, and of `close` at the end, are the document. Neither it nor the plan depends on how
    the text was cut into pieces. Without `is_spoken` nothing is planned.
    """

    def __init__(self, *, language: str = "en-US", is_spoken: bool = True) -> None:
        """Set the document's `language` (BCP 47), unless it names its own.

        Raises `ValueError` if it is no language tag.
        """
        if (tag := vocabulary.language(language)) is None:
            raise ValueError(f"{language!r} is no language tag")
        self._planner = Planner() if is_spoken else None
        self._document = DocumentWriter(tag, self._planner)
        self._tokenizer = Tokenizer(self._document)
        self._passes_text = False
        self._is_closed = False

    def add(self, text: str) -> str:
        """Return what may go out now: only what may still become a tag or an entity is held back."""
        if self._passes_text and text and "\r" not in text and not find_special(text):
            self._tokenizer.previous = text
            if self._planner is not None:
                self._planner.text(text)
            return text
        if self._is_closed or self._tokenizer.extend_held_tag(text):
            return ""
        self._tokenizer.feed(text)
        self._passes_text = self._tokenizer.is_in_text and not self._document.is_outside
        return self._document.take()

    def close(self) -> str:
        """Return the end of the document, with what was held back; nothing the second time."""
        if self._is_closed:
            return ""
        self._is_closed = True
        self._passes_text = False
        self._tokenizer.finish()
        self._document.close()
        return self._document.take()

    def take(self, *, rest: bool = False) -> list[SpeechItem]:
        """Return what can be spoken and was not taken yet: complete sentences, or everything with `rest`."""
        if self._planner is None:
            return []
        if rest:
            self._planner.finish()
        return self._planner.take()
