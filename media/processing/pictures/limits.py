"""Limits on the size of a picture. All are enforced before a pixel is decoded."""

import msgspec


class PictureLimits(msgspec.Struct, frozen=True):
    """What a picture may declare; enforced before a pixel is decoded."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_side: int = 16_384
    max_frames: int = 2_000


LONG_RATIO = 4
"""The ratio of length to width from which a picture counts as long."""
