"""Limits on sound. Each is enforced before anything is decoded, and again during decoding."""

import msgspec

LOWEST_SAMPLE_RATE = 4_000
"""Hz. Nothing records speech at less; a header that says so is forged."""


class SoundLimits(msgspec.Struct, frozen=True):
    """`decoded_bytes` is the size of the unpacked sound, at its own sample rate and channels."""

    bytes: int = 25 * 2**20
    seconds: float = 2 * 3600
    channels: int = 8
    sample_rate: int = 192_000
    decoded_bytes: int = 4 * 2**30
