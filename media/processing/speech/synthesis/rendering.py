"""How something is said: rate, pitch and volume, whoever says it."""

from collections.abc import Iterator
from typing import Self

import msgspec
import numpy as np

from media.processing.speech.speech_plan import Say
from media.processing.speech.synthesis.samples import (
    OUTPUT_RATE,
    SILENCE,
    Samples,
    amplified,
    limited,
    resampled,
    settling_of,
    shaped_as_it_comes,
    stretched,
    trimmed,
)
from media.processing.speech.synthesis.synthesizers import engine_of
from media.processing.speech.voices import Voice

SLOWEST, FASTEST = 0.2, 5.0
LOWEST, HIGHEST = -24.0, 24.0
QUIETEST, LOUDEST = -60.0, 24.0


class RenderOptions(msgspec.Struct, frozen=True):
    """`rate` is a factor, `pitch` in semitones, `volume` in decibels."""

    rate: float
    pitch: float
    volume: float
    is_silent: bool

    @classmethod
    def of(cls, say: Say, voice: Voice, speed: float) -> Self:
        return cls(
            rate=_bounded(say.rate * speed * voice.rate, SLOWEST, FASTEST),
            pitch=_bounded(say.pitch, LOWEST, HIGHEST),
            volume=_bounded(say.volume, QUIETEST, LOUDEST),
            is_silent=say.is_silent,
        )

    def words(self, voice: Voice, words: str) -> Iterator[Samples]:
        """Consecutive pieces at 24 kHz, without silence around the whole; none where nothing is heard."""
        return self._made(voice, words, None)

    def phonemes(self, voice: Voice, ipa: str) -> Samples:
        """Empty where the voice cannot say these."""
        return np.concatenate([SILENCE, *self._made(voice, "", ipa)])

    def _made(self, voice: Voice, words: str, ipa: str | None) -> Iterator[Samples]:
        """A higher pitch is the same sound made slower, and played faster."""
        engine = engine_of(voice)
        shift = 2 ** ((self.pitch + voice.pitch) / 12)
        wanted = self.rate / shift
        given = engine.bounded_rate(wanted)
        made = engine.words(words, given) if ipa is None else engine.phonemes(ipa, given)
        stretch = wanted / given

        def shaped(raw: Samples) -> Samples:
            heard = stretched(trimmed(raw, engine.sample_rate), stretch, engine.sample_rate)
            return self._levelled(resampled(heard, engine.sample_rate * shift, OUTPUT_RATE))

        yield from shaped_as_it_comes(made, shaped, settling_of(stretch, shift))

    def _levelled(self, samples: Samples) -> Samples:
        return samples * 0 if self.is_silent else limited(amplified(samples, self.volume))


def _bounded(value: float, low: float, high: float) -> float:
    """`low` for what is not a number."""
    return min(value, high) if value > low else low
