"""Speech for an answer that is still being written, if the model does not speak itself."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing

from core.ids import SPEECH, format_id, new_id
from core.value import Value
from engines.base import EngineError
from engines.events import AudioDelta
from media.processing.exceptions import MediaError
from media.processing.sandbox import pools
from media.processing.sandbox.exceptions import SandboxError
from media.processing.sound.speech_encoding import EncodeSound, encode_sound
from media.processing.speech.speech_plan import Say, SpeechItem
from media.processing.speech.synthesis.job_types import Speak, SpokenPiece, WarmVoice, synthesis_timeout
from media.processing.speech.synthesis.jobs import speak, warm_voice
from media.temporary_folders import async_temporary_folder

logger = logging.getLogger(__name__)

ENCODE_SECONDS = 120.0

_warm: set[WarmVoice] = set()
"""Voices that were loaded. After a crash of the synthesizer, the first sentence loads its own voice."""


class SpeechOptions(Value, frozen=True):
    """How answers are spoken.

    `kept_seconds` is how long their ids can be sent back. `whole_format` is the format of the sound if it is
    sent as a whole at the end; None if it is sent as it is made (pcm16).
    """

    voice: str
    kept_seconds: int
    whole_format: str | None = None
    voices_folder: str | None = None


class Speaker:
    """The voice of one choice: it takes sentences in order and appends `AudioDelta`s."""

    def __init__(
        self,
        choice: int,
        options: SpeechOptions,
        append: Callable[[AudioDelta], None],
        may_speak: Callable[[int], bool],
    ) -> None:
        """Start speaking.

        `may_speak` is called with the number of bytes of each piece of sound that was made; where it returns
        False, the piece is dropped, and nothing more is spoken.
        """
        self._choice = choice
        self._options = options
        self._append = append
        self._may_speak = may_speak
        self._id = format_id(SPEECH, new_id())
        self._has_begun = False
        self._has_ended = False
        self._queue: asyncio.Queue[list[SpeechItem] | None] = asyncio.Queue()
        self._sound = bytearray()
        self._transcript: list[str] = []
        self._task = asyncio.create_task(self._run(), name=f"speaker {self._id}")

    def say(self, items: Iterable[SpeechItem]) -> None:
        """Queue items to be spoken after everything before them."""
        sentences = list(items)
        if sentences and not self._has_ended:
            self._queue.put_nowait(sentences)

    async def finish(self) -> None:
        """Wait until everything is spoken. Raises `EngineError` if that fails."""
        self._queue.put_nowait(None)
        await self._task
        if self._options.whole_format is not None and self._has_begun:
            await self._send_whole(self._options.whole_format)
        self.end()

    def end(self) -> None:
        """Speak nothing more, and append until when the answer can be sent back."""
        self._task.cancel()
        if self._has_begun and not self._has_ended and self._options.whole_format is None:
            self._append(AudioDelta(expires_at=self._expires_at(), choice=self._choice))
        self._has_ended = True

    async def _run(self) -> None:
        try:
            await self._warm()
            while (items := await self._next()) is not None:
                if not await self._speak(items):
                    return
        except MediaError as problem:
            raise EngineError(problem.message, status=500, code="speech_failed") from problem
        except SandboxError as error:
            logger.error("An answer could not be spoken: %s", error)
            raise EngineError("The answer could not be spoken.", status=503, code="speech_failed") from error

    async def _warm(self) -> None:
        """Load the voice while the model is still thinking about its first sentence."""
        job = WarmVoice(self._options.voice, self._options.voices_folder)
        if job not in _warm:
            await pools.synthesis.run(warm_voice, job, seconds=synthesis_timeout(0))
            _warm.add(job)

    async def _next(self) -> list[SpeechItem] | None:
        """Return everything that is waiting: a job per sentence would cost more than it saves."""
        items = await self._queue.get()
        while items is not None and not self._queue.empty():
            more = self._queue.get_nowait()
            if more is None:
                self._queue.put_nowait(None)
                break
            items = items + more
        return items

    async def _speak(self, items: list[SpeechItem]) -> bool:
        """Speak these items; return whether more may be spoken."""
        options = self._options
        job = Speak(items=items, voice=options.voice, voices_folder=options.voices_folder)
        characters = sum(len(item.text) for item in items if isinstance(item, Say))
        spoken = pools.synthesis.stream(speak, job, seconds=synthesis_timeout(characters))
        async with aclosing(spoken) as pieces:
            async for piece in pieces:
                if not self._may_speak(len(piece.data)):
                    return False
                self._send(piece)
        return True

    def _send(self, piece: SpokenPiece) -> None:
        if not (piece.data or piece.transcript):
            return
        is_first, self._has_begun = not self._has_begun, True
        if self._options.whole_format is not None:
            self._sound += piece.data
            self._transcript.append(piece.transcript)
            return
        if is_first:
            self._append(AudioDelta(id=self._id, choice=self._choice))
        self._append(
            AudioDelta(data=piece.data or None, transcript=piece.transcript or None, choice=self._choice)
        )

    async def _send_whole(self, format: str) -> None:
        data = bytes(self._sound)
        if format != "pcm16":
            data = await _encode(data, format)
        self._append(
            AudioDelta(self._id, data, "".join(self._transcript), self._expires_at(), choice=self._choice)
        )

    def _expires_at(self) -> int:
        return int(time.time()) + self._options.kept_seconds


async def _encode(pcm: bytes, format: str) -> bytes:
    async with async_temporary_folder() as folder:
        raw, out = folder / "pcm", folder / "encoded"
        await asyncio.to_thread(raw.write_bytes, pcm)
        job = EncodeSound(str(out), format, path=str(raw))
        await pools.files.run(encode_sound, job, seconds=ENCODE_SECONDS)
        return await asyncio.to_thread(out.read_bytes)
