"""Checks whether a file is a usable picture. A job of the `files` pool."""

import msgspec

from media.processing.pictures.limits import PictureLimits


class InspectPicture(msgspec.Struct, frozen=True):
    path: str
    limits: PictureLimits = PictureLimits()


class PictureFacts(msgspec.Struct, frozen=True):
    """`width` and `height` are pixels of the picture when upright."""

    kind: str
    media_type: str
    width: int
    height: int
    frames: int


def inspect_picture(work: InspectPicture) -> PictureFacts:
    """Check the file at `work.path`, then decode its first frame once.

    A polyglot, or a picture with foreign data in it or after its end (an archive, a page, a script), is
    accepted as the picture it is: decoders stop where the picture ends. That is safe only because the
    original is never passed on. What goes to a model or a browser is made from pixels by `render_picture`.

    Raises `UnreadableMedia` (not a supported picture, cut off, damaged) and `MediaTooLarge` (bytes, pixels,
    sides, frames).
    """
    from media.processing.pictures.decoding import open_picture, upright_size

    with open_picture(work.path, work.limits) as picture:
        # This decodes a JPEG at an eighth of its size: every bit is still read, with a 64th of the memory.
        picture.load(at_least=(1, 1))
        width, height = upright_size(picture)
        return PictureFacts(
            picture.kind.name, picture.kind.media_type, width, height, picture.declared_size.frames
        )
