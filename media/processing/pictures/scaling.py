"""Sizes, and the way to them. Imported by job functions only."""

from PIL import Image

from media.processing.pictures.colors import eight_bit
from media.processing.pictures.file_structure import Outline


def fitted(outline: Outline, max_side: int) -> tuple[int, int]:
    """The size whose longer side has at most `max_side` pixels; never larger, never nothing."""
    factor = min(1.0, max_side / max(outline.width, outline.height))
    return max(1, round(outline.width * factor)), max(1, round(outline.height * factor))


def scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """In 8 bits a channel, of `size`. Boxes make the bulk of the way, a good filter the last third."""
    image = eight_bit(image)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
