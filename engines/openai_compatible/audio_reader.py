"""The spoken answer of one choice: base64 that may be cut anywhere, and its transcript."""

import binascii

from engines.base import EngineError
from engines.events import AudioDelta, Event
from engines.openai_compatible.chunk_types import ChunkAudio
from engines.openai_compatible.upstream_numbers import read_time
from engines.surrogates import SurrogateJoiner, join_surrogates

PIECE = 2**18
"""Characters decoded at once; in between, another thread, such as the loop's, can run."""


class AudioReader:
    __slots__ = ("_choice", "_expiry_sent", "_id_sent", "_joiner", "_rest")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._rest = ""
        self._id_sent = False
        self._expiry_sent = False
        self._joiner = SurrogateJoiner()

    def read(self, sound: ChunkAudio, events: list[Event]) -> None:
        id_ = sound.id if sound.id and not self._id_sent else None
        expires_at = None if self._expiry_sent else read_time(sound.expires_at)
        self._id_sent = self._id_sent or id_ is not None
        self._expiry_sent = self._expiry_sent or expires_at is not None
        delta = AudioDelta(
            id=join_surrogates(id_) if id_ else None,
            data=self._decode(sound.data) if sound.data else None,
            transcript=self._joiner.push(sound.transcript) or None if sound.transcript else None,
            expires_at=expires_at,
            choice=self._choice,
        )
        if delta != AudioDelta(choice=self._choice):
            events.append(delta)

    def _decode(self, data: str) -> bytes | None:
        data = self._rest + data if self._rest else data
        cut = len(data) - len(data) % 4
        self._rest = data[cut:]
        try:
            pieces = [data[at : min(at + PIECE, cut)] for at in range(0, cut, PIECE)]
            return b"".join([binascii.a2b_base64(piece, strict_mode=True) for piece in pieces]) or None
        except (binascii.Error, ValueError) as error:
            raise EngineError("The upstream sent sound that is no base64.") from error

    def finish(self, events: list[Event]) -> None:
        data = self._decode("=" * (4 - len(self._rest))) if self._rest else None
        transcript = self._joiner.flush() or None
        if data or transcript:
            events.append(AudioDelta(data=data, transcript=transcript, choice=self._choice))
