"""Puts lines of text found in a picture into the order in which one reads them.

Columns are read one after the other where what stands on both sides of the gutter is running text. Cells of
a table are short and stay in their rows, for `Coffee … 3.50` belongs together.
"""

from itertools import groupby, pairwise
from statistics import median

from media.processing.pictures.text_lines import TextLine

Row = list[TextLine]

_FEWEST_LINES = 3
_FULL_SHARE = 0.55
"""Of its column's width: what a median line of running text has. Cells of a table have less."""
_LONG_LINE = 18
"""Characters that a median line of running text has at least."""
_MIDDLE = 0.15
"""Nearer than this share of the width to an edge there is no gutter."""
_MOST_ACROSS = 0.3
"""The share of lines, headings mostly, that may stand across a gutter."""


def in_reading_order(lines: list[TextLine]) -> list[Row]:
    """Rows from top to bottom, column by column; the lines of a row from left to right."""
    gutter = _gutter(lines)
    if gutter is None:
        return _rows(lines)
    ordered = sorted(lines, key=_middle)
    runs = [(across, list(run)) for across, run in groupby(ordered, lambda line: _crosses(line, gutter))]
    return [row for across, run in runs for row in (_rows(run) if across else _side_by_side(run, gutter))]


def laid_out(rows: list[Row]) -> str:
    return "\n".join("\t".join(line.text for line in row) for row in rows)


def _side_by_side(lines: list[TextLine], gutter: float) -> list[Row]:
    left, right = _sides(lines, gutter)
    if not (_is_running_text(left) and _is_running_text(right)):
        return _rows(lines)
    return in_reading_order(left) + in_reading_order(right)


def _sides(lines: list[TextLine], gutter: float) -> tuple[list[TextLine], list[TextLine]]:
    left = [line for line in lines if line.box[2] <= gutter]
    return left, [line for line in lines if line.box[0] >= gutter]


def _gutter(lines: list[TextLine]) -> float | None:
    """The middle of the widest of the gaps, between left and right, that the fewest lines cross."""
    if len(lines) < 2 * _FEWEST_LINES:
        return None
    left, right = min(line.box[0] for line in lines), max(line.box[2] for line in lines)
    nearest, farthest = left + _MIDDLE * (right - left), right - _MIDDLE * (right - left)
    edges = sorted([(line.box[0], 1) for line in lines] + [(line.box[2], -1) for line in lines])
    found: list[tuple[int, int, float]] = []
    crossing = 0
    for (x, step), (next_x, _) in pairwise(edges):
        crossing += step
        middle = (x + next_x) / 2
        if next_x > x and nearest < middle < farthest:
            found.append((crossing, x - next_x, middle))
    if not found or min(found)[0] > _MOST_ACROSS * len(lines):
        return None
    return min(found)[2]


def _is_running_text(lines: list[TextLine]) -> bool:
    """In one column, or in several."""
    if len(lines) < _FEWEST_LINES or median(len(line.text) for line in lines) < _LONG_LINE:
        return False
    width = max(line.box[2] for line in lines) - min(line.box[0] for line in lines)
    if median(line.box[2] - line.box[0] for line in lines) >= _FULL_SHARE * width:
        return True
    gutter = _gutter(lines)
    return gutter is not None and all(_is_running_text(side) for side in _sides(lines, gutter))


def _rows(lines: list[TextLine]) -> list[Row]:
    """Lines whose middles lie within half a line's height of the row's first are one row."""
    rows: list[Row] = []
    for line in sorted(lines, key=_middle):
        if rows and _middle(line) - _middle(rows[-1][0]) < min(_height(line), _height(rows[-1][0])) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.box[0]) for row in rows]


def _crosses(line: TextLine, gutter: float) -> bool:
    return line.box[0] < gutter < line.box[2]


def _middle(line: TextLine) -> float:
    return (line.box[1] + line.box[3]) / 2


def _height(line: TextLine) -> int:
    return line.box[3] - line.box[1]
