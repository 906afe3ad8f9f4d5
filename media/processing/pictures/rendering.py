"""Renders the picture that is sent to a model or shown in the admin's list. A job of the `files` pool."""

from pathlib import Path
from typing import Literal

import msgspec

from media.processing.pictures.limits import PictureLimits

THUMBNAIL_SIDE = 256


class RenderPicture(msgspec.Struct, frozen=True):
    """A request to render into the file `out`.

    `max_side` is in pixels; `max_bytes` limits the new file. `purpose`: "model" makes a JPEG or a PNG, which
    every model reads; "thumbnail" a WebP of at most `THUMBNAIL_SIDE` pixels a side.
    """

    path: str
    out: str
    max_side: int = 2048
    max_bytes: int = 4 * 2**20
    purpose: Literal["model", "thumbnail"] = "model"
    limits: PictureLimits = PictureLimits()


class RenderedPicture(msgspec.Struct, frozen=True):
    """`size` is in bytes; `width` and `height` are pixels of the new picture."""

    media_type: str
    size: int
    width: int
    height: int


def render_picture(work: RenderPicture) -> RenderedPicture:
    """Render the pixels of the first frame: upright, sRGB, 8 bits a channel, and nothing else.

    EXIF with its location and thumbnail, XMP, comments, color profiles and whatever was hidden in the file
    are left behind. A picture is never enlarged. Transparent ones, drawings and screenshots become PNG if
    that fits in `max_bytes`; others become JPEG, first of lower quality and then smaller until it fits.

    Raises `UnreadableMedia` and `MediaTooLarge` like `inspect_picture`, and `MediaTooLarge` if `max_bytes`
    cannot be met.
    """
    from media.processing.pictures.color_conversion import to_srgb
    from media.processing.pictures.decoding import open_picture, turn_upright
    from media.processing.pictures.encoding import encode_for_model, encode_thumbnail
    from media.processing.pictures.scaling import fit_size, scale

    is_thumbnail = work.purpose == "thumbnail"
    max_side = min(work.max_side, THUMBNAIL_SIDE) if is_thumbnail else work.max_side
    with open_picture(work.path, work.limits) as picture:
        size = fit_size(picture.declared_size, max_side)
        # Keep twice the size for our own filter, which is better than a JPEG decoder's.
        image = picture.load(at_least=(2 * size[0], 2 * size[1]))
        image = turn_upright(to_srgb(scale(image, size), picture.profile), picture)
    encoded = encode_thumbnail(image) if is_thumbnail else encode_for_model(image, work.max_bytes)
    Path(work.out).write_bytes(encoded.data)
    return RenderedPicture(encoded.media_type, len(encoded.data), encoded.width, encoded.height)
