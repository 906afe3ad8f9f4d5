"""Synthesizing speech in tests and measuring it."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from media.processing.speech.speech_plan import Say, SpeechItem
from media.processing.speech.synthesis.job_types import Speak, SpokenPiece
from media.processing.speech.synthesis.jobs import speak

RATE = 24_000
TEN_WORDS = "The quick brown fox jumps over the lazy dog today."


class Spoken(NamedTuple):
    pieces: list[SpokenPiece]

    @property
    def samples(self) -> npt.NDArray[np.float64]:
        return np.frombuffer(b"".join(piece.data for piece in self.pieces), "<i2") / 32768

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    @property
    def transcript(self) -> str:
        return "".join(piece.transcript for piece in self.pieces)

    @property
    def marks(self) -> dict[str, int]:
        return dict(mark for piece in self.pieces for mark in piece.marks)

    @property
    def loudness(self) -> float:
        """Root mean square."""
        return float(np.sqrt(np.mean(self.samples**2)))

    def resembles(self, other: "Spoken") -> bool:
        """Whether both sound alike. eSpeak NG varies by some milliseconds when it repeats itself."""
        return abs(self.seconds - other.seconds) < 0.025 and abs(self.loudness / other.loudness - 1) < 0.05

    @property
    def pitch(self) -> float:
        """The fundamental frequency in hertz: the median over voiced frames."""
        return fundamental(self.samples)


def synthesize(*items: SpeechItem | str, voice: str = "espeak-en-us", **options: Any) -> Spoken:
    plan: list[SpeechItem] = [Say(item) if isinstance(item, str) else item for item in items]
    return Spoken(list(speak(Speak(plan, voice, **options))))


def fundamental(samples: npt.NDArray[np.float64]) -> float:
    frame, found = 1800, []
    for start in range(0, len(samples) - frame, frame // 2):
        wave = samples[start : start + frame] - samples[start : start + frame].mean()
        if np.sqrt(np.mean(wave**2)) < 0.05:
            continue
        overlap = np.arange(frame, 0, -1)
        likeness = np.correlate(wave, wave, "full")[frame - 1 :] / overlap
        lags = likeness[RATE // 450 : RATE // 55]
        best = float(lags.max())
        if best > 0.6 * likeness[0]:
            first = int(np.argmax(lags > 0.9 * best))
            lag = first + int(np.argmax(lags[first : first + 20])) + RATE // 450
            found.append(RATE / lag)
    return float(np.median(found))


def longest_silence(samples: npt.NDArray[np.float64]) -> float:
    """Seconds of the longest run of zeros."""
    edges = np.flatnonzero(np.concatenate(([1.0], samples, [1.0])))
    return float(np.diff(edges).max() - 1) / RATE
