"""Puts the lines of text found in a picture into reading order.

Columns are read one after the other if there is running text on both sides of the gutter. Table cells are
short and stay in their rows, because `Coffee … 3.50` belongs together.
"""

from itertools import groupby, pairwise
from statistics import median

from media.processing.pictures.text_line import TextLine

Row = list[TextLine]

_MIN_LINES = 3
_MIN_WIDTH_SHARE = 0.55
"""The minimum share of its column's width that a median line of running text fills. Table cells fill less."""
_MIN_LINE_LENGTH = 18
"""The fewest characters in a median line of running text."""
_EDGE_SHARE = 0.15
"""There is no gutter closer to an edge than this share of the width."""
_MAX_CROSSING_SHARE = 0.3
"""The share of lines, mostly headings, that may cross a gutter."""


def arrange_in_rows(lines: list[TextLine]) -> list[Row]:
    """Return rows from top to bottom, column by column, each with its lines from left to right."""
    gutter = _find_gutter(lines)
    if gutter is None:
        return _rows(lines)
    ordered = sorted(lines, key=_middle)
    runs = [(crosses, list(run)) for crosses, run in groupby(ordered, lambda line: _crosses(line, gutter))]
    return [row for crosses, run in runs for row in (_rows(run) if crosses else _order_columns(run, gutter))]


def format_rows(rows: list[Row]) -> str:
    return "\n".join("\t".join(line.text for line in row) for row in rows)


def _order_columns(lines: list[TextLine], gutter: float) -> list[Row]:
    left, right = _split_at_gutter(lines, gutter)
    if not (_is_running_text(left) and _is_running_text(right)):
        return _rows(lines)
    return arrange_in_rows(left) + arrange_in_rows(right)


def _split_at_gutter(lines: list[TextLine], gutter: float) -> tuple[list[TextLine], list[TextLine]]:
    left = [line for line in lines if line.box[2] <= gutter]
    return left, [line for line in lines if line.box[0] >= gutter]


def _find_gutter(lines: list[TextLine]) -> float | None:
    """Return the middle of the widest of the vertical gaps that the fewest lines cross, if there is one."""
    if len(lines) < 2 * _MIN_LINES:
        return None
    left, right = min(line.box[0] for line in lines), max(line.box[2] for line in lines)
    nearest, farthest = left + _EDGE_SHARE * (right - left), right - _EDGE_SHARE * (right - left)
    edges = sorted([(line.box[0], 1) for line in lines] + [(line.box[2], -1) for line in lines])
    gaps: list[tuple[int, int, float]] = []
    crossing = 0
    for (x, step), (next_x, _) in pairwise(edges):
        crossing += step
        middle = (x + next_x) / 2
        if next_x > x and nearest < middle < farthest:
            gaps.append((crossing, x - next_x, middle))
    if not gaps or min(gaps)[0] > _MAX_CROSSING_SHARE * len(lines):
        return None
    return min(gaps)[2]


def _is_running_text(lines: list[TextLine]) -> bool:
    """Whether the lines are running text, in one column or in several."""
    if len(lines) < _MIN_LINES or median(len(line.text) for line in lines) < _MIN_LINE_LENGTH:
        return False
    width = max(line.box[2] for line in lines) - min(line.box[0] for line in lines)
    if median(line.box[2] - line.box[0] for line in lines) >= _MIN_WIDTH_SHARE * width:
        return True
    gutter = _find_gutter(lines)
    return gutter is not None and all(_is_running_text(side) for side in _split_at_gutter(lines, gutter))


def _rows(lines: list[TextLine]) -> list[Row]:
    """Group lines into rows.

    A line belongs to a row if its middle is within half a line's height of that of the row's first line.
    """
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
