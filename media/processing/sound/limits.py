"""How much sound is taken. Every limit holds before anything is decoded, and again while it is."""

import msgspec

LOWEST_SAMPLE_RATE = 4_000
"""Hz. Nothing records speech below; a header that says less is forged."""


class SoundLimits(msgspec.Struct, frozen=True):
    """`decoded_bytes` is what the sound would take unpacked, at its own sample rate and channels."""

    bytes: int = 25 * 2**20
    seconds: float = 2 * 3600
    channels: int = 8
    sample_rate: int = 192_000
    decoded_bytes: int = 4 * 2**30
