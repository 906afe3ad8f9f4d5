"""The waveform of a sound, for a player to draw."""

import msgspec

from media.processing.sound.limits import SoundLimits

MAX_BUCKETS = 4_000
PEAK_RATE = 16_000
BLOCK = 40
"""Samples reduced to their extremes while reading: 2.5 ms each, 6 MB for two hours."""


class SoundPeaks(msgspec.Struct, frozen=True):
    """`buckets` (1…4000) is the number of pairs requested; a sound with few samples gives fewer."""

    path: str
    claimed: str | None = None
    buckets: int = 800
    limits: SoundLimits = SoundLimits()


class Peaks(msgspec.Struct, frozen=True):
    """The lowest and highest samples (-128…127) of stretches of equal length; both lists are equally long."""

    lowest: list[int]
    highest: list[int]
    milliseconds: int


def sound_peaks(work: SoundPeaks) -> Peaks:
    """Return the waveform of a whole sound, mixed down.

    Raises `UnreadableMedia` and `MediaTooLarge` as transcoding does.
    """
    import numpy as np

    from media.processing.sound.decoding import Undecodable, decode_to_mono_pcm

    lows, highs, samples, rest = bytearray(), bytearray(), 0, b""
    for piece in decode_to_mono_pcm(work.path, work.claimed, PEAK_RATE, work.limits):
        data = rest + piece
        whole = len(data) - len(data) % (2 * BLOCK)
        blocks = (np.frombuffer(data[:whole], "<i2").reshape(-1, BLOCK) >> 8).astype(np.int8)
        lows += blocks.min(axis=1).tobytes()
        highs += blocks.max(axis=1).tobytes()
        samples, rest = samples + len(piece) // 2, data[whole:]
    if not samples:
        raise Undecodable
    if rest:
        last = (np.frombuffer(rest, "<i2") >> 8).astype(np.int8)
        lows += last.min().tobytes()
        highs += last.max().tobytes()
    buckets = max(1, min(work.buckets, MAX_BUCKETS, len(lows)))
    edges = np.arange(buckets) * len(lows) // buckets
    return Peaks(
        lowest=np.minimum.reduceat(np.frombuffer(lows, np.int8), edges).tolist(),
        highest=np.maximum.reduceat(np.frombuffer(highs, np.int8), edges).tolist(),
        milliseconds=samples * 1000 // PEAK_RATE,
    )
