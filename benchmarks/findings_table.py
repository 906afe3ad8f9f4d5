"""Single quantities, what they are compared with, and their table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

_NAME_WIDTH = 66
_COLUMN_WIDTH = 22


@dataclass
class Finding:
    """One quantity, with a value per round. `bare` is the same for the model alone, in turn with ours."""

    name: str
    values: Sequence[float]
    bare: Sequence[float] = field(default_factory=tuple)
    aim: str = ""
    digits: int = 0

    def cells(self) -> list[str]:
        ratio = f"{statistics.median(self.values) / statistics.median(self.bare):.2f}" if self.bare else ""
        return [self._cell(self.values), self._cell(self.bare), ratio, self.aim]

    def _cell(self, values: Sequence[float]) -> str:
        if not values:
            return ""
        text = f"{statistics.median(values):,.{self.digits}f}"
        if len(values) > 1:
            text += f" [{min(values):,.{self.digits}f}–{max(values):,.{self.digits}f}]"
        return text


def render(title: str, findings: Sequence[Finding]) -> str:
    lines = [_line(title, ["service", "bare model", "ratio", "aim"])]
    lines.append("-" * len(lines[0]))
    lines += [_line(finding.name, finding.cells()) for finding in findings]
    return "\n".join(lines)


def _line(name: str, cells: Sequence[str]) -> str:
    measured, bare, ratio, aim = cells
    return (
        name.ljust(_NAME_WIDTH)
        + measured.rjust(_COLUMN_WIDTH)
        + bare.rjust(_COLUMN_WIDTH)
        + (ratio.rjust(8) + aim.rjust(9))
    )
