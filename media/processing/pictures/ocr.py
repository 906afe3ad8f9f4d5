"""Reads the text in a picture. A job of the `recognition` pool."""

import time

import msgspec

from media.processing.pictures.limits import LONG, PictureLimits
from media.processing.pictures.text_lines import TextLine


class ReadText(msgspec.Struct, frozen=True):
    """A request to read a picture. Larger ones are scaled down to `max_side` pixels first.

    Long ones are scaled by their shorter side and read in pieces; no piece is started after `seconds` have
    passed or `characters` were read.
    """

    path: str
    max_side: int = 2048
    limits: PictureLimits = PictureLimits()
    seconds: float = 40
    characters: int = 12_000


class PictureText(msgspec.Struct, frozen=True):
    """`text` is `lines` in reading order; cells of one row share a line, separated by tabs.

    `width` and `height` are those of the upright picture. With `is_cut`, the rest of a long one was not read.
    """

    text: str
    width: int
    height: int
    lines: list[TextLine]
    is_cut: bool = False


def read_text(work: ReadText) -> PictureText:
    """Read the text of the picture at `work.path`; it is empty if there is none.

    The model is loaded on the first call and kept. Raises `UnreadableMedia` and `MediaTooLarge` like
    `inspect_picture`.
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

    # Imported this late because they take seconds to load, and a refusal need not wait for them.
    from media.processing.pictures.ocr_model import recognized_lines
    from media.processing.pictures.tiling import pieces

    deadline, factor = time.monotonic() + work.seconds, width / image.width
    lines: list[TextLine] = []
    is_cut = False
    for left, top, piece in pieces(image, work.max_side):
        is_cut = time.monotonic() > deadline or sum(len(line.text) for line in lines) > work.characters
        if is_cut:
            break
        size = round(piece.width * factor), round(piece.height * factor)
        found = recognized_lines(piece, size, work.max_side)
        lines += [_move_line(line, round(left * factor), round(top * factor)) for line in found]
    rows = in_reading_order(lines)
    return PictureText(laid_out(rows), width, height, [line for row in rows for line in row], is_cut)


def _longest(width: int, height: int, max_side: int) -> int:
    """Return the longer side to read at. In a long picture, only the shorter side has to fit."""
    short, long = sorted((width, height))
    return round(long * min(1.0, max_side / short)) if long >= LONG * short else max_side


def _move_line(line: TextLine, dx: int, dy: int) -> TextLine:
    left, top, right, bottom = line.box
    return TextLine(line.text, line.confidence, (left + dx, top + dy, right + dx, bottom + dy))
