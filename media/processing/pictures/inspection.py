"""Is this file a picture that can be used? A job of the `files` workshop."""

import msgspec

from media.processing.pictures.limits import PictureLimits


class InspectPicture(msgspec.Struct, frozen=True):
    path: str
    limits: PictureLimits = PictureLimits()


class PictureFacts(msgspec.Struct, frozen=True):
    """`width` and `height` are pixels of the picture as it is to be seen, upright."""

    kind: str
    media_type: str
    width: int
    height: int
    frames: int


def inspect_picture(work: InspectPicture) -> PictureFacts:
    """Checks the file at `work.path`, then decodes its first frame once.

    A polyglot, a picture with foreign matter in it or after its end (an archive, a page, a script), is taken
    for the picture it is: decoders stop where the picture ends. That is safe only because the original is
    never passed on. What goes to a model or a browser is made from pixels by `render_picture`.

    Raises Unreadable (no picture that is taken, cut off, damaged), TooLarge (bytes, pixels, sides, frames).
    """
    from media.processing.pictures.decoding import opened_picture, turned_size

    with opened_picture(work.path, work.limits) as picture:
        # A JPEG at an eighth: each of its bits is read still, at a 64th of the memory.
        picture.load(at_least=(1, 1))
        width, height = turned_size(picture)
        return PictureFacts(picture.kind.name, picture.kind.media_type, width, height, picture.outline.frames)
