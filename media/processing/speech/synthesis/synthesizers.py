"""The speech engines: a small interface, a file per engine, and a line here."""

from collections.abc import Callable, Iterator
from typing import Protocol

from media.processing.speech.synthesis.espeak import espeak_engine
from media.processing.speech.synthesis.piper import piper_engine
from media.processing.speech.synthesis.samples import Samples
from media.processing.speech.voices import Voice


class SpeechEngine(Protocol):
    """An engine that makes sound at `sample_rate`, in consecutive pieces, with silence around the whole."""

    sample_rate: int

    def clamp_rate(self, rate: float) -> float:
        """Return the nearest rate, a factor of the voice's own, that the engine speaks well at."""

    def speak_words(self, words: str, rate: float) -> Iterator[Samples]: ...

    def speak_phonemes(self, ipa: str, rate: float) -> Iterator[Samples]:
        """Yield nothing if the engine cannot say these phonemes."""


ENGINES: dict[str, Callable[[Voice], SpeechEngine]] = {
    "piper": piper_engine,
    "espeak": espeak_engine,
}


def engine_for(voice: Voice) -> SpeechEngine:
    return ENGINES[voice.engine](voice)
