"""Computes sizes, and scales pictures to them. Imported only by job functions."""

from PIL import Image

from media.processing.pictures.color_conversion import to_eight_bit
from media.processing.pictures.file_structure import DeclaredSize


def fit_size(outline: DeclaredSize, max_side: int) -> tuple[int, int]:
    """Return the size with a longer side of at most `max_side` pixels; never larger, never zero."""
    factor = min(1.0, max_side / max(outline.width, outline.height))
    return max(1, round(outline.width * factor)), max(1, round(outline.height * factor))


def scale(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture in 8 bits a channel, at `size`.

    Box averaging does most of the reduction, a good filter the last factor of three.
    """
    image = to_eight_bit(image)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
