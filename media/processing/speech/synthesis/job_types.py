"""What synthesis takes and yields."""

from typing import Literal

import msgspec

from media.processing.speech.speech_plan import SpeechItem

SpeechFormat = Literal["pcm16", "wav", "mp3", "opus", "aac", "flac"]


class Speak(msgspec.Struct, frozen=True):
    """A request to speak a plan.

    `voice` is a registered id, `speed` a factor for all items; `voices_folder` holds the operator's own
    voices.
    """

    items: list[SpeechItem]
    voice: str
    speed: float = 1.0
    format: SpeechFormat = "pcm16"
    voices_folder: str | None = None


def synthesis_timeout(characters: int, speed: float = 1.0) -> float:
    """Return the seconds that synthesis may take, including loading the voice."""
    return 120 + characters * 0.1 / min(1.0, speed)


class SpokenPiece(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the sound, and what belongs to it; any part may be empty.

    `data` is in the requested format: the pieces joined are the file. As pcm16 (24 kHz, mono, little-endian),
    each has at most 48,000 bytes, and a multiple of six. `transcript` is the text that begins to be heard
    with this piece. `marks` are names with their milliseconds from the start. `milliseconds` is the sound's
    length so far.
    """

    data: bytes = b""
    transcript: str = ""
    marks: list[tuple[str, int]] = []
    milliseconds: int = 0


class WarmVoice(msgspec.Struct, frozen=True):
    voice: str
    voices_folder: str | None = None


class VoiceReady(msgspec.Struct, frozen=True):
    voice: str
    seconds: float
    """How long it took to load the voice and speak a first word."""
