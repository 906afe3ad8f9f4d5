"""Reads the text in a picture. A job of the `recognition` pool."""

import time

import msgspec

from media.processing.pictures.limits import LONG_RATIO, PictureLimits
from media.processing.pictures.text_line import TextLine


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
    from media.processing.pictures.color_conversion import flatten, to_srgb
    from media.processing.pictures.decoding import open_picture, turn_upright, upright_size
    from media.processing.pictures.reading_order import arrange_in_rows, format_rows
    from media.processing.pictures.scaling import fit_size, scale

    with open_picture(work.path, work.limits) as picture:
        size = fit_size(
            picture.declared_size,
            _longest(picture.declared_size.width, picture.declared_size.height, work.max_side),
        )
        image = scale(picture.load(at_least=(2 * size[0], 2 * size[1])), size)
        image = flatten(turn_upright(to_srgb(image, profile=None), picture)).convert("RGB")
        width, height = upright_size(picture)

    # Imported this late because they take seconds to load, and a refusal need not wait for them.
    from media.processing.pictures.long_picture_pieces import split_into_pieces
    from media.processing.pictures.ocr_model import recognize_lines

    deadline, factor = time.monotonic() + work.seconds, width / image.width
    lines: list[TextLine] = []
    is_cut = False
    for left, top, piece in split_into_pieces(image, work.max_side):
        is_cut = time.monotonic() > deadline or sum(len(line.text) for line in lines) > work.characters
        if is_cut:
            break
        size = round(piece.width * factor), round(piece.height * factor)
        found = recognize_lines(piece, size, work.max_side)
        lines += [_move_line(line, round(left * factor), round(top * factor)) for line in found]
    rows = arrange_in_rows(lines)
    return PictureText(format_rows(rows), width, height, [line for row in rows for line in row], is_cut)


def _longest(width: int, height: int, max_side: int) -> int:
    """Return the longer side to read at. In a long picture, only the shorter side has to fit."""
    short, long = sorted((width, height))
    return round(long * min(1.0, max_side / short)) if long >= LONG_RATIO * short else max_side


def _move_line(line: TextLine, dx: int, dy: int) -> TextLine:
    left, top, right, bottom = line.box
    return TextLine(line.text, line.confidence, (left + dx, top + dy, right + dx, bottom + dy))
