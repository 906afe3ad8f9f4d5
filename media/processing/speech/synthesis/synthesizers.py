"""Who makes the sound: one small interface, a file an engine, and a line here."""

from collections.abc import Callable, Iterator
from typing import Protocol

from media.processing.speech.synthesis.espeak import espeak_engine
from media.processing.speech.synthesis.piper import piper_engine
from media.processing.speech.synthesis.samples import Samples
from media.processing.speech.voices import Voice


class SpeechEngine(Protocol):
    """Sound comes at `sample_rate`, in consecutive pieces, with the engine's own silence around the whole."""

    sample_rate: int

    def bounded_rate(self, rate: float) -> float:
        """The nearest speed, as a factor of the voice's own, that the engine speaks well at."""

    def words(self, words: str, rate: float) -> Iterator[Samples]: ...

    def phonemes(self, ipa: str, rate: float) -> Iterator[Samples]:
        """None at all where the engine cannot say these."""


ENGINES: dict[str, Callable[[Voice], SpeechEngine]] = {
    "piper": piper_engine,
    "espeak": espeak_engine,
}


def engine_of(voice: Voice) -> SpeechEngine:
    return ENGINES[voice.engine](voice)
