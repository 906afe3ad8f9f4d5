"""The windows of a long sound: read one after the other, and cut where it is quietest.

Imported only by jobs, because it loads NumPy.
"""

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.output_formats import RECOGNITION_RATE as RATE

MAX_WINDOW_SAMPLES = 120 * RATE
"""The most samples in a window: its spectrum takes 60 MB to compute, and every cut costs some decoding."""
CUT_SEARCH_SAMPLES = 30 * RATE
"""The samples at a window's end among which the quietest spot is searched for."""
QUIET_SAMPLES = 4_800
"""The samples, 0.3 s, that must be quiet as a whole for a cut in their middle."""

Pcm = NDArray[np.int16]
Samples = NDArray[np.float32]


class AudioWindow(NamedTuple):
    """A window of the sound: `start` is its place in the whole, in samples; `samples` are from -1 to 1."""

    start: int
    samples: Samples

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


@contextmanager
def open_sound(path: str) -> Iterator[wave.Wave_read]:
    """Open a WAV file of 16 kHz, mono, 16 bit. Raises `UnreadableMedia`."""
    try:
        with wave.open(path, "rb") as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (RATE, 1, 2):
                raise UnreadableMedia("The sound to be recognized is not of 16 kHz, mono, 16 bit.")
            yield sound
    except (wave.Error, EOFError) as error:
        raise UnreadableMedia("The sound to be recognized is no wav file.") from error


def read_windows(sound: wave.Wave_read) -> Iterator[AudioWindow]:
    """Yield the whole sound, in order and without gaps, in windows of at most MAX_WINDOW_SAMPLES."""
    start, kept = 0, np.empty(0, np.int16)
    while True:
        pcm = np.concatenate((kept, _read(sound, MAX_WINDOW_SAMPLES - len(kept))))
        is_last = len(pcm) < MAX_WINDOW_SAMPLES
        cut = len(pcm) if is_last else _find_cut(pcm)
        if cut:
            yield AudioWindow(start, pcm[:cut].astype(np.float32) / np.float32(32_768))
        if is_last:
            return
        # a copy: a view would keep the whole window alive
        start, kept = start + cut, pcm[cut:].copy()


def _read(sound: wave.Wave_read, samples: int) -> Pcm:
    data = sound.readframes(samples)
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2")


def _find_cut(pcm: Pcm) -> int:
    """Return the middle of the quietest `QUIET_SAMPLES` samples within the last `CUT_SEARCH_SAMPLES`."""
    tail = pcm[-CUT_SEARCH_SAMPLES:].astype(np.float64)
    energy = np.concatenate(([0.0], np.cumsum(tail * tail)))
    loudness = energy[QUIET_SAMPLES:] - energy[:-QUIET_SAMPLES]
    # if several are equal, as in digital silence, the last: the longer the window, the less is decoded twice
    index = len(loudness) - 1 - int(np.argmin(loudness[::-1]))
    return len(pcm) - len(tail) + index + QUIET_SAMPLES // 2
