"""Writes finished pictures as PNG, JPEG and WebP. Imported by job functions only."""

from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image, ImageChops

from media.processing.exceptions import MediaTooLarge
from media.processing.pictures.colors import flattened

QUALITIES = (90, 80, 70, 60, 45, 30)
THUMBNAIL_QUALITY = 80

_SMALLER = 0.7
_FLAT_SHARE = 0.6
"""Photos, even of little contrast, have fewer neighbours of one colour; screenshots and drawings more."""


class Encoded(NamedTuple):
    data: bytes
    media_type: str
    width: int
    height: int


def encoded_for_model(image: Image.Image, max_bytes: int) -> Encoded:
    """`image` (L, RGB or RGBA) as PNG where that is better and fits, else the finest JPEG that fits."""
    if image.mode == "RGBA" or is_flat(image):
        made = _encoded(image, "PNG")
        if len(made.data) <= max_bytes:
            return made
    image = flattened(image)
    while True:
        for quality in QUALITIES:
            made = _encoded(image, "JPEG", quality=quality, optimize=True)
            if len(made.data) <= max_bytes:
                return made
        if image.size == (1, 1):
            raise MediaTooLarge(f"The picture cannot be made as small as {max_bytes} bytes.")
        width, height = image.size
        image = image.resize((max(1, int(width * _SMALLER)), max(1, int(height * _SMALLER))))


def encoded_thumbnail(image: Image.Image) -> Encoded:
    return _encoded(image, "WEBP", quality=THUMBNAIL_QUALITY)


def is_flat(image: Image.Image) -> bool:
    """Whether most pixels are as their left neighbours: PNG keeps such pictures sharp, and small."""
    width, height = image.size
    if width == 1:
        return True
    left, right = image.crop((0, 0, width - 1, height)), image.crop((1, 0, width, height))
    same = ImageChops.difference(left, right).convert("L").histogram()[0]
    return same >= _FLAT_SHARE * (width - 1) * height


def _encoded(image: Image.Image, plugin: str, **options: Any) -> Encoded:
    # Encoders write what the source's comments, profiles and texts left in `info`.
    image.info = {}
    file = BytesIO()
    image.save(file, plugin, **options)
    return Encoded(file.getvalue(), Image.MIME[plugin], *image.size)
