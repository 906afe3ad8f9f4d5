"""What a workspace used and what that cost, by minute, hour or day (UTC) and by who and what for.

Hours and days are read from the roll-ups, and from settled charges that are not in them yet; minutes from the
charges alone. So the result is always right, whatever is posted meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F, Q, Sum

from billing.database_snapshot import snapshot
from billing.models import Charge, UsageRollup
from billing.rollups import SUMS, sum_by_time
from billing.units import UNIT_NAMES

MINUTE, HOUR, DAY = 60, 3600, 86_400
COLUMNS = ("user_id", "key_id", "model", "kind")
"""What usage can be grouped by, besides the workspace: there is only one in a report."""

Rows = Iterable[dict[str, Any]]

_ROLLUP_SUMS = {f"sum_of_{name}": Sum(name) for name in SUMS}
_TRUNC_KINDS = {MINUTE: "minute", HOUR: "hour", DAY: "day"}
_WIDTHS = {HOUR: UsageRollup.Width.HOUR, DAY: UsageRollup.Width.DAY}


class UsageSums(NamedTuple):
    """The sums of a group's requests: how many there were, the units of each kind they used, and nano-USD.

    `unpriced` of them cost nothing because nobody had set a price.
    """

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
    """A question about usage, in buckets of `width` seconds.

    `starts` are where the buckets begin, in seconds since the epoch, without a gap. `where` is a condition on
    the columns; `by` names the columns that a bucket is grouped by.
    """

    workspace_id: UUID
    width: int
    starts: Sequence[int]
    by: Sequence[str] = ()
    where: Q = field(default_factory=Q)


def usage_sums(query: UsageQuery) -> dict[int, list[UsageSums]]:
    """Return the sums by the start of their bucket, sorted by group within one.

    A bucket in which nothing ended is left out.
    """
    if not query.starts:
        return {}
    with snapshot():  # otherwise what is posted between two queries would count twice, or not at all
        rows = [row for source in _sources(query) for row in source]
    buckets: dict[int, dict[tuple[Any, ...], dict[str, int]]] = defaultdict(dict)
    for row in rows:
        group = tuple(row[name] for name in query.by)
        total = buckets[int(row["at"].timestamp())].setdefault(group, dict.fromkeys(_ROLLUP_SUMS, 0))
        for name in _ROLLUP_SUMS:
            total[name] += int(row[name] or 0)
    return {start: _sort_groups(query.by, groups) for start, groups in buckets.items()}


def _sources(query: UsageQuery) -> Iterable[Rows]:
    if query.width in _WIDTHS:
        yield _rollup_rows(query)
        yield _settled_rows(query)
    else:
        yield _charge_rows(query)


def _rollup_rows(query: UsageQuery) -> Rows:
    first, last = _bounds(query)
    found = UsageRollup.objects.filter(
        query.where,
        workspace_id=query.workspace_id,
        width=_WIDTHS[query.width],
        starts_at__gte=first,
        starts_at__lt=last,
    )
    rows: Rows = found.annotate(at=F("starts_at")).values("at", *query.by).annotate(**_ROLLUP_SUMS)
    return rows


def _settled_rows(query: UsageQuery) -> Rows:
    """Return the sums of what is not posted yet, which is little, whatever the time asked for.

    So nothing is said of times to the database: SQLite would look through all charges of that time for them.
    """
    first, last = _bounds(query)
    settled = Charge.objects.filter(query.where, workspace_id=query.workspace_id, state=Charge.State.SETTLED)
    rows = sum_by_time(settled, _TRUNC_KINDS[query.width], query.by)
    return (row for row in rows if first <= row["at"] < last)


def _charge_rows(query: UsageQuery) -> Rows:
    first, last = _bounds(query)
    ended = Charge.objects.filter(  # held ones have not ended
        query.where, workspace_id=query.workspace_id, ended_at__gte=first, ended_at__lt=last
    )
    return sum_by_time(ended, _TRUNC_KINDS[query.width], query.by)


def _bounds(query: UsageQuery) -> tuple[datetime, datetime]:
    first, last = query.starts[0], query.starts[-1] + query.width
    return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)


def _sort_groups(by: Sequence[str], groups: Mapping[tuple[Any, ...], Mapping[str, int]]) -> list[UsageSums]:
    ordered = sorted(groups.items(), key=lambda item: [str(value or "") for value in item[0]])
    return [_sums_of(dict(zip(by, group, strict=True)), total) for group, total in ordered]


def _sums_of(group: dict[str, Any], total: Mapping[str, int]) -> UsageSums:
    units = {name: total[f"sum_of_{name}"] for name in UNIT_NAMES}
    return UsageSums(total["sum_of_requests"], units, total["sum_of_cost"], total["sum_of_unpriced"], **group)
