"""Roll-ups: the posted charges of each hour and each day (UTC), by who they were for and which model.

They are added to in the transaction that posts the charges, so they are right at every moment; what was
settled but not posted yet is read from the charges themselves.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import F

from chatapi.billing.models import Charge, UsageRollup
from chatapi.billing.units import UNIT_NAMES
from chatapi.identifiers import derived_id

Width = UsageRollup.Width
SUMS = UsageRollup.SUMS


class Group(NamedTuple):
    """What a roll-up is of."""

    width: str
    starts_at: datetime
    workspace_id: UUID
    user_id: int | None
    key_id: UUID | None
    model: str
    kind: str

    @property
    def id(self) -> UUID:
        rest = (self.width, self.starts_at.isoformat(), self.user_id, self.key_id, self.model, self.kind)
        return derived_id(self.workspace_id, repr(rest))


def add(sums: Mapping[Group, Mapping[str, int]]) -> None:
    """Runs inside the transaction that posts the charges of which these are the sums."""
    known = UsageRollup.objects.in_bulk(sorted(group.id for group in sums))
    missing = [group for group in sums if group.id not in known]
    new = [UsageRollup(id=group.id, **group._asdict()) for group in missing]
    UsageRollup.objects.bulk_create(new, ignore_conflicts=True)
    for group in sorted(sums, key=lambda group: group.id):  # one order for all workers
        _increase(group.id, sums[group])


def summed(
    charges: Iterable[Charge], widths: Iterable[str] = (Width.HOUR, Width.DAY)
) -> dict[Group, dict[str, int]]:
    """The sums of ended charges by group."""
    sums: dict[Group, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    widths = tuple(str(width) for width in widths)
    for charge in charges:
        counts = _counts(charge)
        for group in _groups(charge, widths):
            total = sums[group]
            for name in SUMS:
                total[name] += counts[name]
    return dict(sums)


def start_of(width: str, at: datetime) -> datetime:
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if width == Width.HOUR else hour.replace(hour=0)


def _groups(charge: Charge, widths: Iterable[str]) -> Iterator[Group]:
    for width in widths:
        starts_at = start_of(width, charge.ended_at or charge.admitted_at)
        yield Group(
            width, starts_at, charge.workspace_id, charge.user_id, charge.key_id, charge.model, charge.kind
        )


def _counts(charge: Charge) -> Mapping[str, int]:
    return {
        "requests": 1,
        **{name: getattr(charge, name) for name in UNIT_NAMES},
        "cost": charge.cost or 0,
        "unpriced": int(charge.price_id is None),
    }


def _increase(id: UUID, sums: Mapping[str, int]) -> None:
    UsageRollup.objects.filter(pk=id).update(**{name: F(name) + sums[name] for name in SUMS if sums[name]})
