"""Reads the text in a picture. A job of the `recognition` workshop."""

import msgspec

from media.pictures.inspection import PictureLimits


class ReadText(msgspec.Struct, frozen=True):
    """`max_side`, in pixels: larger pictures are scaled down to it before they are read."""

    path: str
    max_side: int = 2048
    limits: PictureLimits = PictureLimits()


Box = tuple[int, int, int, int]


class TextLine(msgspec.Struct, frozen=True):
    """A line of one column or a cell of a table.

    `confidence` is 0 to 1. `box` is left, top, right, bottom in pixels of the picture, upright and turned so
    that its text is.
    """

    text: str
    confidence: float
    box: Box


class PictureText(msgspec.Struct, frozen=True):
    """`text` is `lines` in reading order; cells of one row stand on one line, parted by tabs.

    `width` and `height` are of the upright picture.
    """

    text: str
    width: int
    height: int
    lines: list[TextLine]


def read_text(work: ReadText) -> PictureText:
    """The text of the picture at `work.path`; an empty one if there is none.

    The model is loaded at the first call and kept. Raises Unreadable and TooLarge like `inspect_picture`.
    """
    from media.pictures.colours import flattened, srgb
    from media.pictures.decoding import opened_picture, turned_size, upright
    from media.pictures.ordering import in_reading_order, laid_out
    from media.pictures.scaling import fitted, scaled

    with opened_picture(work.path, work.limits) as picture:
        size = fitted(picture.outline, work.max_side)
        image = scaled(picture.load(at_least=(2 * size[0], 2 * size[1])), size)
        image = flattened(upright(srgb(image, profile=None), picture)).convert("RGB")
        width, height = turned_size(picture)

    # Only now: the models' libraries take seconds to load, and a refusal need not wait for them.
    from media.pictures.recognizer import recognized_lines

    rows = in_reading_order(recognized_lines(image, (width, height), work.max_side))
    return PictureText(laid_out(rows), width, height, [line for row in rows for line in row])
