"""How large a picture may be. Every limit holds before a pixel is decoded."""

import msgspec


class PictureLimits(msgspec.Struct, frozen=True):
    """What a picture may claim. They are held before a pixel is decoded."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_side: int = 16_384
    max_frames: int = 2_000


LONG = 4
"""A picture so many times as long as wide is long."""
