"""Rendering of speech: rate, pitch and volume, with any synthesizer."""

from collections.abc import Iterator
from typing import Self

import msgspec
import numpy as np

from media.processing.speech.speech_plan import Say
from media.processing.speech.synthesis.samples import (
    OUTPUT_RATE,
    SILENCE,
    Samples,
    amplify,
    apply_limiter,
    change_speed,
    resample,
    settling_length,
    shape_stream,
    trim_silence,
)
from media.processing.speech.synthesis.synthesizers import synthesizer_for
from media.processing.speech.voices.voice import Voice

SLOWEST, FASTEST = 0.2, 5.0
LOWEST, HIGHEST = -24.0, 24.0
QUIETEST, LOUDEST = -60.0, 24.0


class VoiceRenderer(msgspec.Struct, frozen=True):
    """Renders words and phonemes: `rate` is a factor, `pitch` is in semitones, `volume` in decibels."""

    rate: float
    pitch: float
    volume: float
    is_silent: bool

    @classmethod
    def for_say(cls, say: Say, voice: Voice, speed: float) -> Self:
        return cls(
            rate=_clamp(say.rate * speed * voice.rate, SLOWEST, FASTEST),
            pitch=_clamp(say.pitch, LOWEST, HIGHEST),
            volume=_clamp(say.volume, QUIETEST, LOUDEST),
            is_silent=say.is_silent,
        )

    def render_words(self, voice: Voice, words: str) -> Iterator[Samples]:
        """Yield consecutive pieces at 24 kHz, without silence around the whole; none if nothing is heard."""
        return self._render(voice, words, None)

    def render_phonemes(self, voice: Voice, ipa: str) -> Samples:
        """Return the sound, empty if the voice cannot say these phonemes."""
        return np.concatenate([SILENCE, *self._render(voice, "", ipa)])

    def _render(self, voice: Voice, words: str, ipa: str | None) -> Iterator[Samples]:
        """Yield the sound. A higher pitch is the same sound made slower, and played faster."""
        engine = synthesizer_for(voice)
        shift = 2 ** ((self.pitch + voice.pitch) / 12)
        target_rate = self.rate / shift
        engine_rate = _clamp(target_rate, engine.slowest, engine.fastest)
        raw_pieces = (
            engine.speak_words(words, engine_rate) if ipa is None else engine.speak_phonemes(ipa, engine_rate)
        )
        speed_factor = target_rate / engine_rate

        def shape_sound(raw: Samples) -> Samples:
            audible = change_speed(trim_silence(raw, engine.sample_rate), speed_factor, engine.sample_rate)
            return self._apply_volume(resample(audible, engine.sample_rate * shift, OUTPUT_RATE))

        yield from shape_stream(raw_pieces, shape_sound, settling_length(speed_factor, shift))

    def _apply_volume(self, samples: Samples) -> Samples:
        return samples * 0 if self.is_silent else apply_limiter(amplify(samples, self.volume))


def _clamp(value: float, low: float, high: float) -> float:
    """Return `value` within the bounds, and `low` if it is not a number."""
    return min(value, high) if value > low else low
