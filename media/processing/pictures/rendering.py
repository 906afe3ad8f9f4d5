"""Makes the picture that goes on, to a model or to the admin's list. A job of the `files` workshop."""

from pathlib import Path
from typing import Literal

import msgspec

from media.processing.pictures.limits import PictureLimits

THUMBNAIL_SIDE = 256


class RenderPicture(msgspec.Struct, frozen=True):
    """Writes to `out`. `max_side` is in pixels, `max_bytes` of the file made.

    `purpose`: "model" makes a JPEG or a PNG, which every model reads; "thumbnail" a WebP of at most
    `THUMBNAIL_SIDE` pixels a side.
    """

    path: str
    out: str
    max_side: int = 2048
    max_bytes: int = 4 * 2**20
    purpose: Literal["model", "thumbnail"] = "model"
    limits: PictureLimits = PictureLimits()


class PictureMade(msgspec.Struct, frozen=True):
    """`size` is in bytes, `width` and `height` in pixels of what was made."""

    media_type: str
    size: int
    width: int
    height: int


def render_picture(work: RenderPicture) -> PictureMade:
    """A new picture of the pixels of the first frame: upright, sRGB, 8 bits a channel, and nothing else.

    EXIF with its place and thumbnail, XMP, comments, colour profiles and whatever was hidden in the file
    stay behind. A picture is never enlarged. Transparent ones, and drawings and screenshots, become PNG where
    that fits into `max_bytes`; the others JPEG, coarser and then smaller until it fits.

    Raises Unreadable and TooLarge like `inspect_picture`, and TooLarge if `max_bytes` is beyond reach.
    """
    from media.processing.pictures.colors import srgb
    from media.processing.pictures.decoding import opened_picture, upright
    from media.processing.pictures.encoding import encoded_for_model, encoded_thumbnail
    from media.processing.pictures.scaling import fitted, scaled

    is_thumbnail = work.purpose == "thumbnail"
    max_side = min(work.max_side, THUMBNAIL_SIDE) if is_thumbnail else work.max_side
    with opened_picture(work.path, work.limits) as picture:
        size = fitted(picture.outline, max_side)
        # Twice the size is kept for our own filter, which is better than a JPEG decoder's.
        image = picture.load(at_least=(2 * size[0], 2 * size[1]))
        image = upright(srgb(scaled(image, size), picture.profile), picture)
    made = encoded_thumbnail(image) if is_thumbnail else encoded_for_model(image, work.max_bytes)
    Path(work.out).write_bytes(made.data)
    return PictureMade(made.media_type, len(made.data), made.width, made.height)
