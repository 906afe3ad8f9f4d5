"""The stream of an answer that is not to become SSML."""

from media.processing.speech.sentence_splitter import CodePiece, SentenceSplitter
from media.processing.speech.speech_plan import Say, SpeechItem


class PlainStream:
    """A stream that writes and speaks the text as it is: markup is text.

    Code is written, but never spoken.
    """

    def __init__(self, *, is_spoken: bool = True) -> None:
        self._cutter = SentenceSplitter() if is_spoken else None
        self._items: list[SpeechItem] = []
        self._unsaid = ""

    def add(self, text: str) -> str:
        if self._cutter is not None and (pieces := self._cutter.add(text)):
            self._say(pieces)
        return text

    def close(self) -> str:
        return ""

    def take(self, *, rest: bool = False) -> list[SpeechItem]:
        if rest and self._cutter is not None:
            self._say(self._cutter.take_rest())
        items, self._items = self._items, []
        return items

    def _say(self, pieces: list[str]) -> None:
        for piece in pieces:
            written = self._unsaid + piece
            is_code = isinstance(piece, CodePiece)
            text = "" if is_code else " ".join(piece.split())
            is_item = bool(text) or is_code
            self._unsaid = "" if is_item else written
            if is_item:
                self._items.append(Say(text, None if written == text else written))
