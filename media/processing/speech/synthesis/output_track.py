"""The outgoing sound: cut into pieces, with transcripts, marks and the silences between."""

from collections.abc import Iterator

import numpy as np

from media.processing.speech.synthesis.job_types import SpokenPiece
from media.processing.speech.synthesis.samples import GRAIN, OUTPUT_RATE, Samples, as_pcm16

PIECE_SAMPLES = 24_000
"""The samples in a piece: one second."""


class Track:
    def __init__(self) -> None:
        self._written = 0
        self._gap = 0.0
        self._ends_in_words = False
        self._marks: list[str] = []

    def add_gap(self, seconds: float) -> None:
        """Add the natural silence after a phrase, which comes before the next one; a pause replaces it.

        Punctuation that follows a word without being spoken (its period, say) can make it longer.
        """
        if self._ends_in_words:
            self._gap = max(self._gap, seconds)

    def add_mark(self, name: str) -> None:
        self._marks.append(name)

    def add_unspoken(self, transcript: str) -> Iterator[SpokenPiece]:
        """Yield the transcript of words that make no sound."""
        if transcript:
            yield SpokenPiece(transcript=transcript, milliseconds=self._milliseconds)

    def add_sound(self, samples: Samples, transcript: str) -> Iterator[SpokenPiece]:
        yield from self._silence(self._gap)
        yield from self._place_marks()
        self._ends_in_words = True
        yield from self._pieces(samples, transcript)

    def add_pause(self, milliseconds: int) -> Iterator[SpokenPiece]:
        self._ends_in_words = False
        yield from self._place_marks()
        yield from self._silence(milliseconds / 1000)

    def end(self) -> Iterator[SpokenPiece]:
        """Yield what is left. The last gap stays, so that the sounds of a text's parts can be joined."""
        yield from self._place_marks()
        yield from self._silence(self._gap)

    @property
    def _milliseconds(self) -> int:
        return round(self._written * 1000 / OUTPUT_RATE)

    def _place_marks(self) -> Iterator[SpokenPiece]:
        if self._marks:
            marks = [(name, self._milliseconds) for name in self._marks]
            self._marks = []
            yield SpokenPiece(marks=marks, milliseconds=self._milliseconds)

    def _silence(self, seconds: float) -> Iterator[SpokenPiece]:
        self._gap = 0.0
        yield from self._pieces(np.zeros(round(seconds * OUTPUT_RATE), np.float32), "")

    def _pieces(self, samples: Samples, transcript: str) -> Iterator[SpokenPiece]:
        whole = np.pad(samples, (0, -len(samples) % GRAIN))
        for start in range(0, len(whole), PIECE_SAMPLES):
            piece = whole[start : start + PIECE_SAMPLES]
            self._written += len(piece)
            yield SpokenPiece(as_pcm16(piece), transcript, milliseconds=self._milliseconds)
            transcript = ""
