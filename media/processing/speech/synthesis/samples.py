"""Sound as mono arrays of float32 in −1…1: changing its rate, length, edges and loudness."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

SILENCE: Samples = np.zeros(0, np.float32)

OUTPUT_RATE = 24_000
CEILING = 0.97
"""The highest amplitude."""
SILENCE_THRESHOLD = 0.004
"""At the edges, anything below this counts as silence: −48 dB."""
LEAD, TAIL, FADE = 0.015, 0.04, 0.005
"""Seconds kept before and after what is heard, and seconds of fading."""
LIMITER_BLOCK = 64
GRAIN = 3
"""In samples: six bytes as pcm16, so that pieces in base64 can be joined."""
SETTLING_SAMPLES = 1200
"""Samples at OUTPUT_RATE that may change: the end is faded, and resampling and the limiter look ahead."""
PADDING = 512
MAX_DENOMINATOR = 200


def resample(sound: Samples, from_rate: float, to_rate: float) -> Samples:
    """Resample through the spectrum, without an image or alias. The edges have to be silent.

    The ratio is met within 0.003 %; lengths are padded to ones that transform quickly.
    """
    ratio = Fraction(to_rate / from_rate).limit_denominator(MAX_DENOMINATOR)
    if ratio == 1 or not len(sound):
        return sound
    blocks = _next_fast_length(-(-(len(sound) + 2 * PADDING) // ratio.denominator))
    before, after = blocks * ratio.denominator, blocks * ratio.numerator
    padded = np.pad(sound, (PADDING, before - PADDING - len(sound)))
    longer = np.fft.irfft(np.fft.rfft(padded)[: after // 2 + 1], after) * (after / before)
    start = round(PADDING * ratio)
    return longer[start : start + round(len(sound) * ratio)].astype(np.float32)


def _next_fast_length(length: int) -> int:
    """Return the next number with no prime factor above five."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


def change_speed(sound: Samples, speed: float, rate: int) -> Samples:
    """Make the sound faster or slower at the same pitch: frames overlap where their waves agree (WSOLA)."""
    hop, reach = round(rate * 0.012), round(rate * 0.008)
    if not is_stretched(speed) or len(sound) < 6 * hop:
        return sound
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)
    padded = np.pad(sound, (reach, 4 * hop + reach))
    steps = max(1, int(len(sound) / speed) // hop)
    longer: Samples = np.zeros((steps + 2) * hop, np.float32)
    follows = padded[reach : reach + 2 * hop]
    for step in range(steps):
        start = int(step * hop * speed)
        around = padded[start : start + 2 * hop + 2 * reach]
        if len(around) < 2 * hop + 2 * reach:
            break
        at = start + int(np.argmax(np.correlate(around, follows, "valid")))
        longer[step * hop : (step + 2) * hop] += padded[at : at + 2 * hop] * window
        follows = padded[at + hop : at + 3 * hop]
        if len(follows) < 2 * hop:
            break
    return longer[: int(len(sound) / speed)]


def settling_length(speed: float, shift: float) -> int:
    """Return how many samples at OUTPUT_RATE may still change.

    Stretching looks ahead by two frames, and to where their waves agree.
    """
    if not is_stretched(speed):
        return SETTLING_SAMPLES
    return SETTLING_SAMPLES + round(0.07 * OUTPUT_RATE * max(1, 1 / speed) / shift)


def is_stretched(speed: float) -> bool:
    return abs(speed - 1) >= 0.01


def trim_silence(sound: Samples, rate: float) -> Samples:
    """Remove the silence around the sound, and fade its edges; empty if nothing is heard."""
    heard = np.flatnonzero(np.abs(sound) > SILENCE_THRESHOLD)
    if not len(heard):
        return sound[:0]
    first = max(0, heard[0] - int(LEAD * rate))
    kept = sound[first : heard[-1] + 1 + int(TAIL * rate)].astype(np.float32, copy=True)
    length = min(len(kept) // 2, int(FADE * rate))
    ramp = np.linspace(0, 1, length, endpoint=False, dtype=np.float32)
    kept[:length] *= ramp
    kept[len(kept) - length :] *= ramp[::-1]
    return kept


def apply_limiter(sound: Samples) -> Samples:
    """Turn the sound down around peaks above the ceiling, so smoothly that it does not crackle."""
    if not len(sound) or np.abs(sound).max() <= CEILING:
        return sound
    blocks = np.pad(sound, (0, -len(sound) % LIMITER_BLOCK)).reshape(-1, LIMITER_BLOCK)
    gains = np.minimum(1, CEILING / np.maximum(np.abs(blocks).max(axis=1), CEILING))
    around = np.pad(gains, 1, mode="edge")
    lowest = np.minimum(np.minimum(around[:-2], around[1:-1]), around[2:])
    centers = (np.arange(len(lowest)) + 0.5) * LIMITER_BLOCK
    smooth = np.interp(np.arange(len(sound)), centers, lowest)
    quieter: Samples = (sound * smooth).astype(np.float32)
    return quieter


def amplify(sound: Samples, decibels: float) -> Samples:
    return (sound * np.float32(10 ** (decibels / 20))).astype(np.float32)


def shape_stream(
    raw: Iterable[Samples], shaped: Callable[[Samples], Samples], settling: int = SETTLING_SAMPLES
) -> Iterator[Samples]:
    """Yield `shaped` applied to all of `raw`, in consecutive nonempty pieces, each as soon as it is known.

    With each piece, everything so far is shaped again. However the sound goes on, that may change no more
    than the last `settling` samples, which are held back. All pieces but the last are whole GRAINs.
    """
    received: list[Samples] = []
    sound, yielded = SILENCE, 0
    for piece in raw:
        received.append(piece)
        sound = shaped(np.concatenate(received))
        settled = (len(sound) - settling) // GRAIN * GRAIN
        if settled > yielded:
            yield sound[yielded:settled]
            yielded = settled
    if len(sound) > yielded:
        yield sound[yielded:]


def as_pcm16(sound: Samples) -> bytes:
    return (np.clip(sound, -1, 1) * 32767).round().astype("<i2").tobytes()
