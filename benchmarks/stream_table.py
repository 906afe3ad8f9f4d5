"""The table that the stream benchmark prints."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.processes import Footprint
from benchmarks.stream_loads import Sample, median_percentile

_NAME_WIDTH = 58
_COLUMN_WIDTH = 24


@dataclass
class Measurements:
    """The results of one target: a sample per round and load; footprints unless it is the upstream itself."""

    name: str
    alone: list[Sample] = field(default_factory=list)
    streams: list[Sample] = field(default_factory=list)
    plain: list[Sample] = field(default_factory=list)
    idle: Footprint | None = None
    holding: Footprint | None = None


@dataclass
class Row:
    """One quantity of all targets; `spread` gives the values whose least and most are shown."""

    name: str
    value: Callable[[Measurements], float]
    spread: Callable[[Measurements], Sequence[float]] | None = None
    digits: int = 0

    def cell(self, of: Measurements) -> str:
        text = f"{self.value(of):,.{self.digits}f}"
        values = self.spread(of) if self.spread else ()
        if len(values) > 1:
            text += f" [{min(values):,.{self.digits}f}–{max(values):,.{self.digits}f}]"
        return text


def render(measured: Sequence[Measurements], open_streams: int, connections: int) -> str:
    """Render the table.

    The first target is the upstream called directly, the second the one that others are compared with.
    """
    direct, *targets = measured
    yardstick = targets[0]
    others = targets[1:]
    titles = [target.name for target in targets] + [f"{other.name}/{yardstick.name}" for other in others]
    lines = [_line("", titles), "-" * (_NAME_WIDTH + _COLUMN_WIDTH * len(titles))]
    for row in _rows(direct, open_streams, connections):
        base = row.value(yardstick)
        ratios = [f"{row.value(other) / base:.1%}" if base > 0 else "–" for other in others]
        lines.append(_line(row.name, [row.cell(target) for target in targets] + ratios))
    lines.append("")
    lines.append(
        "Added: beyond what the same load sees when it calls the upstream itself, p50 and p99 apart."
    )
    lines.append(
        f"The upstream called directly: {_median_rate(direct.streams):,.0f} streams/s, "
        f"{_median_rate(direct.plain):,.0f} plain requests/s. Megabytes and threads are of all processes."
    )
    return "\n".join(lines)


def _rows(direct: Measurements, open_streams: int, connections: int) -> list[Row]:
    at_once = f"{connections} at a time"
    return [
        _rate_row("streams/s", lambda of: [sample.calls for sample in of.streams]),
        _rate_row("plain requests/s", lambda of: [sample.calls for sample in of.plain]),
        _rate_row("chunks/s", lambda of: [sample.events for sample in of.streams]),
        _rate_row("CPU, ms a stream", lambda of: [sample.cpu for sample in of.streams], 2),
        _rate_row("CPU, ms a plain request", lambda of: [sample.cpu for sample in of.plain], 2),
        _added_row("added time to first chunk, one stream at a time, p50 ms", direct, _alone, 0.5),
        _added_row("  p99 ms", direct, _alone, 0.99),
        _added_row(f"added time to first chunk, {at_once}, p50 ms", direct, _streams, 0.5),
        _added_row("  p99 ms", direct, _streams, 0.99),
        Row("resident MB, idle", lambda of: _footprint(of.idle).megabytes),
        Row(f"  with {open_streams} open streams", lambda of: _footprint(of.holding).megabytes),
        Row("threads, idle", lambda of: _footprint(of.idle).threads),
        Row(f"  with {open_streams} open streams", lambda of: _footprint(of.holding).threads),
        Row("processes", lambda of: _footprint(of.idle).processes),
    ]


def _rate_row(name: str, values: Callable[[Measurements], list[float]], digits: int = 0) -> Row:
    return Row(name, lambda of: statistics.median(values(of)), values, digits)


def _added_row(
    name: str, direct: Measurements, samples: Callable[[Measurements], list[Sample]], part: float
) -> Row:
    base = median_percentile(samples(direct), part)
    return Row(name, lambda of: median_percentile(samples(of), part) - base, digits=2)


def _alone(of: Measurements) -> list[Sample]:
    return of.alone


def _streams(of: Measurements) -> list[Sample]:
    return of.streams


def _median_rate(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.calls for sample in samples)


def _footprint(footprint: Footprint | None) -> Footprint:
    if footprint is None:
        raise ValueError("no footprint was taken")
    return footprint


def _line(name: str, cells: Sequence[str]) -> str:
    return name.ljust(_NAME_WIDTH) + "".join(cell.rjust(_COLUMN_WIDTH) for cell in cells)
