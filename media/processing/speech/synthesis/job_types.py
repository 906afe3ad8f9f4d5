"""What synthesis takes and gives."""

from typing import Literal

import msgspec

from media.processing.speech.speech_plan import SpeechItem

SpeechFormat = Literal["pcm16", "wav", "mp3", "opus", "aac", "flac"]


class Speak(msgspec.Struct, frozen=True):
    """`voice` is a registered id, `speed` a factor for all, `voices_folder` holds the operator's own."""

    items: list[SpeechItem]
    voice: str
    speed: float = 1.0
    format: SpeechFormat = "pcm16"
    voices_folder: str | None = None


def patience(characters: int, speed: float = 1.0) -> float:
    """Seconds that synthesis may take, loading the voice included."""
    return 120 + characters * 0.1 / min(1.0, speed)


class SpokenPiece(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the sound, and what belongs to it; any part may be empty.

    `data` is in the asked format: the pieces joined are the file. As pcm16 (24 kHz, mono, little-endian) each
    has at most 48,000 bytes and a multiple of six. `transcript` is what begins to be heard with this piece.
    `marks` are names with their milliseconds from the start. `milliseconds` is the sound's length so far.
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
    """What loading took, with a first word spoken."""
