"""The synthesizers: a small interface, a file for each, and a line here."""

from collections.abc import Callable, Iterator
from typing import Protocol

from media.processing.speech.synthesis.espeak import espeak_synthesizer
from media.processing.speech.synthesis.piper import piper_synthesizer
from media.processing.speech.synthesis.samples import Samples
from media.processing.speech.voices.voice import Voice


class Synthesizer(Protocol):
    """Makes sound at `sample_rate`, in consecutive pieces, with silence around the whole."""

    sample_rate: int
    slowest: float
    fastest: float
    """Beyond these rates, factors of the voice's own, it does not speak well."""

    def speak_words(self, words: str, rate: float) -> Iterator[Samples]: ...

    def speak_phonemes(self, ipa: str, rate: float) -> Iterator[Samples]:
        """Yield nothing if it cannot say these phonemes."""


SYNTHESIZERS: dict[str, Callable[[Voice], Synthesizer]] = {
    "piper": piper_synthesizer,
    "espeak": espeak_synthesizer,
}


def synthesizer_for(voice: Voice) -> Synthesizer:
    return SYNTHESIZERS[voice.engine](voice)
