"""Roll-ups: the posted charges of each hour and each day (UTC), by who they were for and which model.

They are updated in the transaction that posts the charges, so they are always right; what was settled but not
posted yet is read from the charges themselves.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Trunc

from billing.models import Charge, UsageRollup
from billing.units import UNIT_NAMES
from core.ids import derive_id

Width = UsageRollup.Width
SUMS = UsageRollup.SUMS


GROUP_COLUMNS = ("workspace_id", "user_id", "key_id", "model", "kind")
CHARGE_SUMS: dict[str, Any] = {
    **{f"sum_of_{name}": Sum(name) for name in (*UNIT_NAMES, "cost")},
    "sum_of_requests": Count("id"),
    "sum_of_unpriced": Count("id", filter=Q(price_id=None)),
}
"""The sums of a group of charges, which are a roll-up's columns."""


class Group(NamedTuple):
    """What the charges of a roll-up have in common."""

    width: str
    starts_at: datetime
    workspace_id: UUID
    user_id: int | None
    key_id: UUID | None
    model: str
    kind: str

    @classmethod
    def of(cls, width: str, starts_at: datetime, row: Mapping[str, Any]) -> "Group":
        return cls(width, starts_at, *(row[name] for name in GROUP_COLUMNS))

    @property
    def id(self) -> UUID:
        rest = (self.width, self.starts_at.isoformat(), self.user_id, self.key_id, self.model, self.kind)
        return derive_id(self.workspace_id, repr(rest))


def add_sums(sums: Mapping[Group, Mapping[str, int]]) -> None:
    """Add sums to the roll-ups. Runs inside the transaction that posts the charges summed up here."""
    known = UsageRollup.objects.in_bulk(sorted(group.id for group in sums))
    missing = [group for group in sums if group.id not in known]
    new = [UsageRollup(id=group.id, **group._asdict()) for group in missing]
    UsageRollup.objects.bulk_create(new, ignore_conflicts=True)
    for group in sorted(sums, key=lambda group: group.id):  # in the same order in all workers
        _increase(group.id, sums[group])


def sum_charges(charges: QuerySet[Charge]) -> dict[Group, dict[str, int]]:
    """Return the sums of these ended charges by group, for hours and days. The database does the summing."""
    sums: dict[Group, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for row in sum_by_time(charges, Width.HOUR.value, GROUP_COLUMNS):
        hour = row["at"]
        for width, start in ((Width.HOUR, hour), (Width.DAY, hour.replace(hour=0))):
            total = sums[Group.of(width.value, start, row)]
            for name in SUMS:
                total[name] += row[f"sum_of_{name}"] or 0
    return dict(sums)


def sum_by_time(charges: QuerySet[Charge], width: str, by: Sequence[str]) -> QuerySet[Any, Any]:
    """Return the sums of ended charges by columns and by the hour, say, in which they ended (`at`, UTC)."""
    groups = charges.annotate(at=Trunc("ended_at", width, tzinfo=UTC)).values("at", *by)
    rows: QuerySet[Any, Any] = groups.annotate(**CHARGE_SUMS)
    return rows


def _increase(id: UUID, sums: Mapping[str, int]) -> None:
    UsageRollup.objects.filter(pk=id).update(**{name: F(name) + sums[name] for name in SUMS if sums[name]})
