"""The usage chart: what each day of a range cost, by model, read from the daily roll-ups."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.db.models import F, QuerySet, Sum

from billing.models import UsageRollup
from core.money import NANO_PER_USD, format_usd

HEIGHT, DAY_WIDTH, BAR_WIDTH = 2000, 10, 8
OTHERS = "other models"
COLORS = ("#2f6f9f", "#d9822b", "#3d9970", "#a23b72", "#8a7a1f", "#6b5bd2", "#c0392b", "#17a2b8")
OTHERS_COLOR = "#8c8c8c"

COST, TOKENS, REQUESTS = "cost", "tokens", "requests"
MEASURES = {COST: "USD", TOKENS: "tokens", REQUESTS: "requests"}
_TOKENS = ("prompt", "cached", "audio_in", "completion", "reasoning", "audio_out")


class Bar(NamedTuple):
    x: int
    y: int
    height: int
    color: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Counts by day and model. Models that are not shown by name are counted together."""

    days: Sequence[date]
    models: Sequence[str]
    counts: Mapping[tuple[date, str], int]
    measure: str

    @property
    def width(self) -> int:
        return len(self.days) * DAY_WIDTH

    @property
    def most(self) -> int:
        return max((self._total(day) for day in self.days), default=0)

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """Each model's name, color and total."""
        sums = {model: sum(self._count(day, model) for day in self.days) for model in self.models}
        return [(model, self._color(model), self.text(sums[model])) for model in self.models]

    @property
    def bars(self) -> list[Bar]:
        bars, most = [], self.most
        for column, day in enumerate(self.days):
            below = 0
            for model in self.models:
                count = self._count(day, model)
                if count:
                    low, high = (HEIGHT * edge // most for edge in (below, below + count))
                    title = f"{day}: {model}, {self.text(count)} {MEASURES[self.measure]}"
                    bars.append(Bar(column * DAY_WIDTH, HEIGHT - high, high - low, self._color(model), title))
                    below += count
        return bars

    @property
    def table(self) -> list[tuple[date, str, list[str]]]:
        """The days with usage, newest first: the day, its total, and each model's count."""
        return [
            (day, self.text(self._total(day)), [self.text(self._count(day, model)) for model in self.models])
            for day in reversed(self.days)
            if self._total(day) or any((day, model) in self.counts for model in self.models)
        ]

    def text(self, count: int) -> str:
        return format_usd(count) if self.measure == COST else f"{count:,}"

    def _count(self, day: date, model: str) -> int:
        return self.counts.get((day, model), 0)

    def _total(self, day: date) -> int:
        return sum(self._count(day, model) for model in self.models)

    def _color(self, model: str) -> str:
        return OTHERS_COLOR if model == OTHERS else COLORS[self.models.index(model) % len(COLORS)]


def build_chart(rows: QuerySet[UsageRollup], first: date, last: date, measure: str) -> Chart:
    """Build a chart from one query of sums by day and model. The models with the most get a color each."""
    found = _counts(rows, measure)
    totals: dict[str, int] = defaultdict(int)
    for _, model, count in found:
        totals[model] += count
    ranked = sorted(totals, key=lambda model: (-totals[model], model))
    named = ranked if len(ranked) <= len(COLORS) else ranked[: len(COLORS) - 1]
    counts: dict[tuple[date, str], int] = defaultdict(int)
    for day, model, count in found:
        counts[day, model if model in named else OTHERS] += count
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return Chart(days, [*named, *([OTHERS] if len(named) < len(ranked) else [])], dict(counts), measure)


def _counts(rows: QuerySet[UsageRollup], measure: str) -> list[tuple[date, str, int]]:
    """Return sums by day and model.

    Costs are summed up as whole USD and nano-USD apart: those of all workspaces together might be more than
    SQLite's sums hold.
    """
    groups = rows.values_list("starts_at", "model")
    if measure == COST:
        sums = groups.annotate(usd=Sum(F("cost") / NANO_PER_USD), nano=Sum(F("cost") % NANO_PER_USD))
        return [(at.date(), model, int(usd) * NANO_PER_USD + int(nano)) for at, model, usd, nano in sums]
    counted = groups.annotate(count=Sum(measure) if measure == REQUESTS else _sum_of_tokens())
    return [(at.date(), model, int(count)) for at, model, count in counted]


def _sum_of_tokens() -> Any:
    total: Any = F(_TOKENS[0])
    for name in _TOKENS[1:]:
        total = total + F(name)
    return Sum(total)
