"""What a workspace used and what that cost, by minutes, hours or days (UTC) and by who and what for.

Hours and days are read from the roll-ups, and from the charges that are settled and not in them yet; minutes
from the charges alone. So it is right at every moment, whatever is posted meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Trunc

from billing.database_snapshot import snapshot
from billing.models import Charge, UsageRollup
from billing.units import UNIT_NAMES

MINUTE, HOUR, DAY = 60, 3600, 86_400
COLUMNS = ("user_id", "key_id", "model", "kind")
"""What usage can be grouped by; a workspace is one anyway."""

Rows = Iterable[dict[str, Any]]

_SUMMED = {f"sum_{name}": Sum(name) for name in ("requests", *UNIT_NAMES, "cost", "unpriced")}
_COUNTED = {
    **_SUMMED,
    "sum_requests": Count("id"),
    "sum_unpriced": Count("id", filter=Q(price_id=None)),
}
_TRUNCATED = {MINUTE: "minute", HOUR: "hour", DAY: "day"}
_WIDTHS = {HOUR: UsageRollup.Width.HOUR, DAY: UsageRollup.Width.DAY}


class UsageSums(NamedTuple):
    """Of the requests of a group: how many there were, how many of each unit they used, and nano-USD.
    `unpriced` of them cost nothing because nobody had set a price."""

    requests: int
    units: Mapping[str, int]
    cost: int
    unpriced: int
    user_id: int | None = None
    key_id: UUID | None = None
    model: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Buckets of so many seconds each; `starts` are those of the buckets, in seconds since the epoch, without
    a gap. `where` is a condition on the columns, `by` names those of them that part a bucket."""

    workspace_id: UUID
    width: int
    starts: Sequence[int]
    by: Sequence[str] = ()
    where: Q = field(default_factory=Q)


def sums(asked: UsageQuery) -> dict[int, list[UsageSums]]:
    """By the start of the bucket; a bucket in which nothing ended is left out. Within one, the groups are in
    order."""
    if not asked.starts:
        return {}
    with snapshot():  # what is posted between two queries would count twice, or not at all
        rows = [row for source in _sources(asked) for row in source]
    buckets: dict[int, dict[tuple[Any, ...], dict[str, int]]] = defaultdict(dict)
    for row in rows:
        group = tuple(row[name] for name in asked.by)
        total = buckets[int(row["at"].timestamp())].setdefault(group, dict.fromkeys(_SUMMED, 0))
        for name in _SUMMED:
            total[name] += int(row[name] or 0)
    return {start: _in_order(asked.by, groups) for start, groups in buckets.items()}


def _sources(asked: UsageQuery) -> Iterable[Rows]:
    charges = Charge.objects.all()  # those that are held have not ended
    if asked.width in _WIDTHS:
        yield _of_rollups(asked)
        charges = Charge.objects.filter(state=Charge.State.SETTLED)
    yield _of_charges(asked, charges)


def _of_rollups(asked: UsageQuery) -> Rows:
    first, last = _bounds(asked)
    found = UsageRollup.objects.filter(
        asked.where,
        workspace_id=asked.workspace_id,
        width=_WIDTHS[asked.width],
        starts_at__gte=first,
        starts_at__lt=last,
    )
    rows: Rows = found.annotate(at=F("starts_at")).values("at", *asked.by).annotate(**_SUMMED)
    return rows


def _of_charges(asked: UsageQuery, charges: "QuerySet[Charge]") -> Rows:
    first, last = _bounds(asked)
    found = charges.filter(
        asked.where, workspace_id=asked.workspace_id, ended_at__gte=first, ended_at__lt=last
    )
    at = Trunc("ended_at", _TRUNCATED[asked.width], tzinfo=UTC)
    rows: Rows = found.annotate(at=at).values("at", *asked.by).annotate(**_COUNTED)
    return rows


def _bounds(asked: UsageQuery) -> tuple[datetime, datetime]:
    first, last = asked.starts[0], asked.starts[-1] + asked.width
    return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)


def _in_order(by: Sequence[str], groups: Mapping[tuple[Any, ...], Mapping[str, int]]) -> list[UsageSums]:
    ordered = sorted(groups.items(), key=lambda item: [str(value or "") for value in item[0]])
    return [_sums_of(dict(zip(by, group, strict=True)), total) for group, total in ordered]


def _sums_of(group: dict[str, Any], total: Mapping[str, int]) -> UsageSums:
    units = {name: total[f"sum_{name}"] for name in UNIT_NAMES}
    return UsageSums(total["sum_requests"], units, total["sum_cost"], total["sum_unpriced"], **group)
