"""A recognizer that hears what a test says, whatever the sound, and tells how its streams end."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

from media.processing.speech.recognition.job_types import RecognitionEnd, Segment, Transcribe
from media.transcription import Recognizer

Recognized = AsyncGenerator[Segment | RecognitionEnd, None]


def segment(text: str) -> Segment:
    return Segment(0, 0, 0.0, 0.5, text, [], 0.0, -0.1, 1.0, 0.0, [])


class FakeRecognizer:
    """What stands in for recognition. It hears "Some words." unless it is told otherwise."""

    def __init__(self) -> None:
        self._may_answer = threading.Event()
        self.reset()

    def reset(self) -> None:
        self.state = "idle"
        self._words, self._seconds = "Some words.", 1.0
        self._error: Exception | None = None
        self._instead: Recognizer | None = None
        self._may_answer.set()

    def will_hear(self, words: str, seconds: float = 1.0) -> None:
        """Hear these words in any sound, and take it to last so long."""
        self._words, self._seconds = words, seconds

    def will_fail(self, error: Exception) -> None:
        self._error = error

    def will_follow(self, recognizer: Recognizer) -> None:
        """Hear what that recognizer hears."""
        self._instead = recognizer

    def wait(self) -> None:
        """Hear nothing until `go_on`, for half a minute at most."""
        self._may_answer.clear()

    def go_on(self) -> None:
        self._may_answer.set()

    async def __call__(self, work: Transcribe, *, seconds: float, alone: bool) -> Recognized:
        follow = self._instead or self._hear
        self.state = "open"
        try:
            async with aclosing(follow(work, seconds=seconds, alone=alone)) as heard:
                async for item in heard:
                    yield item
            self.state = "ended"
        except BaseException:
            self.state = "closed early"
            raise

    async def _hear(self, work: Transcribe, *, seconds: float, alone: bool) -> Recognized:
        await asyncio.to_thread(self._may_answer.wait, 30)
        if self._error:
            raise self._error
        yield segment(self._words)
        yield RecognitionEnd("en", self._seconds)


recognize = FakeRecognizer()
"""The one that CHATAPI_RECOGNIZER can name."""
