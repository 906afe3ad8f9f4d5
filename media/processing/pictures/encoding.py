"""Encodes finished pictures as PNG, JPEG and WebP. Imported only by job functions."""

from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image, ImageChops

from media.processing.exceptions import MediaTooLarge
from media.processing.pictures.color_conversion import flatten

QUALITIES = (90, 80, 70, 60, 45, 30)
THUMBNAIL_QUALITY = 80

_SHRINK_FACTOR = 0.7
_FLAT_SHARE = 0.6
"""Photos, even low-contrast ones, have a smaller share of neighbors with the same color; screenshots and
drawings have a larger one.
"""


class EncodedPicture(NamedTuple):
    data: bytes
    media_type: str
    width: int
    height: int


def encode_for_model(image: Image.Image, max_bytes: int) -> EncodedPicture:
    """Encode `image` (L, RGB or RGBA) as PNG if that is better and fits, else as the best JPEG that fits."""
    if image.mode == "RGBA" or is_flat(image):
        encoded = _encode(image, "PNG")
        if len(encoded.data) <= max_bytes:
            return encoded
    image = flatten(image)
    while True:
        for quality in QUALITIES:
            encoded = _encode(image, "JPEG", quality=quality, optimize=True)
            if len(encoded.data) <= max_bytes:
                return encoded
        if image.size == (1, 1):
            raise MediaTooLarge(f"The picture cannot be made as small as {max_bytes} bytes.")
        width, height = image.size
        image = image.resize((max(1, int(width * _SHRINK_FACTOR)), max(1, int(height * _SHRINK_FACTOR))))


def encode_thumbnail(image: Image.Image) -> EncodedPicture:
    return _encode(image, "WEBP", quality=THUMBNAIL_QUALITY)


def is_flat(image: Image.Image) -> bool:
    """Whether most pixels equal their left neighbors: PNG keeps such pictures sharp, and small."""
    width, height = image.size
    if width == 1:
        return True
    left, right = image.crop((0, 0, width - 1, height)), image.crop((1, 0, width, height))
    same = ImageChops.difference(left, right).convert("L").histogram()[0]
    return same >= _FLAT_SHARE * (width - 1) * height


def _encode(image: Image.Image, plugin: str, **options: Any) -> EncodedPicture:
    # Encoders would write the source's comments, profiles and texts, which are still in `info`.
    image.info = {}
    file = BytesIO()
    image.save(file, plugin, **options)
    return EncodedPicture(file.getvalue(), Image.MIME[plugin], *image.size)
