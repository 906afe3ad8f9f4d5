"""The sound of a scripted voice: one tone, 24 kHz, mono, signed 16-bit little-endian."""

import io
import math
import struct
import wave
from functools import cache

RATE = 24_000
WORD_SECONDS = 0.1
PITCH = 440
"""In hertz; a whole number of waves fits into a word, so that words join without a click."""


@cache
def word_pcm() -> bytes:
    """Return the samples of one word: 4800 bytes, a multiple of 6."""
    count = int(RATE * WORD_SECONDS)
    samples = (int(8000 * math.sin(2 * math.pi * PITCH * sample / RATE)) for sample in range(count))
    return struct.pack(f"<{count}h", *samples)


def wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(pcm)
    return file.getvalue()
