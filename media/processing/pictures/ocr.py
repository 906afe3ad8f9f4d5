"""Reads the text in a picture. A job of the `recognition` workshop."""

import time

import msgspec

from media.processing.pictures.limits import LONG, PictureLimits
from media.processing.pictures.text_lines import TextLine


class ReadText(msgspec.Struct, frozen=True):
    """`max_side`, in pixels: larger pictures are scaled down to it before they are read. Long ones are scaled
    by their shorter side and read in pieces, none of them begun after `seconds` or `characters`."""

    path: str
    max_side: int = 2048
    limits: PictureLimits = PictureLimits()
    seconds: float = 40
    characters: int = 12_000


class PictureText(msgspec.Struct, frozen=True):
    """`text` is `lines` in reading order; cells of one row stand on one line, parted by tabs.

    `width` and `height` are of the upright picture. With `is_cut` the rest of a long one was not read.
    """

    text: str
    width: int
    height: int
    lines: list[TextLine]
    is_cut: bool = False


def read_text(work: ReadText) -> PictureText:
    """The text of the picture at `work.path`; an empty one if there is none.

    The model is loaded at the first call and kept. Raises Unreadable and TooLarge like `inspect_picture`.
    """
    from media.processing.pictures.colors import flattened, srgb
    from media.processing.pictures.decoding import opened_picture, turned_size, upright
    from media.processing.pictures.reading_order import in_reading_order, laid_out
    from media.processing.pictures.scaling import fitted, scaled

    with opened_picture(work.path, work.limits) as picture:
        size = fitted(picture.outline, _longest(picture.outline.width, picture.outline.height, work.max_side))
        image = scaled(picture.load(at_least=(2 * size[0], 2 * size[1])), size)
        image = flattened(upright(srgb(image, profile=None), picture)).convert("RGB")
        width, height = turned_size(picture)

    # Only now: the models' libraries take seconds to load, and a refusal need not wait for them.
    from media.processing.pictures.ocr_model import recognized_lines
    from media.processing.pictures.tiling import pieces

    latest, factor = time.monotonic() + work.seconds, width / image.width
    lines: list[TextLine] = []
    is_cut = False
    for left, top, piece in pieces(image, work.max_side):
        is_cut = time.monotonic() > latest or sum(len(line.text) for line in lines) > work.characters
        if is_cut:
            break
        size = round(piece.width * factor), round(piece.height * factor)
        found = recognized_lines(piece, size, work.max_side)
        lines += [_moved(line, round(left * factor), round(top * factor)) for line in found]
    rows = in_reading_order(lines)
    return PictureText(laid_out(rows), width, height, [line for row in rows for line in row], is_cut)


def _longest(width: int, height: int, max_side: int) -> int:
    """The longer side to read from: of a picture that is long, only the shorter one has to fit."""
    short, long = sorted((width, height))
    return round(long * min(1.0, max_side / short)) if long >= LONG * short else max_side


def _moved(line: TextLine, across: int, down: int) -> TextLine:
    left, top, right, bottom = line.box
    return TextLine(line.text, line.confidence, (left + across, top + down, right + across, bottom + down))
