"""What was measured of lists and admissions on several databases: a table in Markdown, and what is slow."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

LIMITS = {"lists": 100.0, "items": 100.0, "search": 200.0, "admin": 300.0}
"""The most that a group's p95 may be on a full database, in milliseconds."""
ADMISSION_RATIO = 1.05
"""How much longer a call may take on a full database, at the median."""
NOTHING, MISSING = "–", "not there"


@dataclass
class Timings:
    """The times of one request on one database, in milliseconds, and which other statuses than 200 came."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p95(self) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]

    @property
    def is_missing(self) -> bool:
        return bool(self.statuses) and set(self.statuses) == {404} and not self.milliseconds

    def cell(self) -> str:
        if self.is_missing:
            return MISSING
        if self.statuses:
            return f"status {', '.join(map(str, sorted(set(self.statuses))))}"
        return f"{self.p50:.1f} / {self.p95:.1f}" if self.milliseconds else NOTHING


@dataclass
class Line:
    """One request on all databases, whose names are the keys."""

    group: str
    name: str
    timings: Mapping[str, Timings]


def render(columns: Sequence[str], lines: Sequence[Line]) -> str:
    """Return the table, p50 / p95 in milliseconds; what misses its aim is bold."""
    missed = {(line.name, column) for line, column, _ in _misses(columns, lines)}
    rows = [["p50 / p95, ms", *columns], ["---"] * (len(columns) + 1)]
    for line in lines:
        cells = [_cell(line, column, missed) for column in columns]
        rows.append([line.name, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def misses(columns: Sequence[str], lines: Sequence[Line]) -> list[str]:
    """Return what misses its aim, in words."""
    return [f"{line.name}, {column}: {what}" for line, column, what in _misses(columns, lines)]


def _cell(line: Line, column: str, missed: set[tuple[str, str]]) -> str:
    timings = line.timings.get(column)
    text = timings.cell() if timings else NOTHING
    return f"**{text}**" if (line.name, column) in missed else text


def _misses(columns: Sequence[str], lines: Sequence[Line]) -> Iterator[tuple[Line, str, str]]:
    for line in lines:
        for column in columns:
            timings = line.timings.get(column)
            if timings is None or "full" not in column or (timings.is_missing and line.group == "search"):
                continue
            if timings.statuses:
                yield line, column, timings.cell()
            elif line.group == "admission":
                yield from _slower_admission(line, column, timings)
            elif timings.milliseconds and timings.p95 > LIMITS[line.group]:
                yield line, column, f"p95 {timings.p95:.0f} ms, not {LIMITS[line.group]:.0f}"


def _slower_admission(line: Line, column: str, full: Timings) -> Iterator[tuple[Line, str, str]]:
    empty = line.timings.get(column.replace("full", "empty"))
    if not (empty and empty.milliseconds and full.milliseconds) or empty is full:
        return
    ratio = full.p50 / empty.p50
    if ratio > ADMISSION_RATIO:
        yield line, column, f"{ratio:.2f} times as long as on an empty database"
