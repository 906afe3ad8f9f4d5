"""The audit of billing: whether the ledger adds up, and matches what the history says of each completion."""

from collections.abc import Iterator, Sequence
from itertools import chain
from uuid import UUID

from django.utils.translation import ngettext

from billing import operator_alerts, verification
from billing.database_snapshot import snapshot
from billing.models import Alert, Charge
from billing.verification import Discrepancy
from chatapi.completions.billable_usage import billing_units
from conversations.models import Completion
from engines.events import Usage

CHUNK = 2000
MAX_LISTED = 10
"""How many discrepancies an alert lists."""
_COUNTS = tuple(Usage().counts)


def reconcile() -> int:
    """Verify the ledger and alert an operator if it does not add up. Returns the number of discrepancies.

    Nobody is kept from writing meanwhile. `manage.py verify_ledger` lists all discrepancies.
    """
    found = 0
    listed: list[str] = []
    with snapshot():
        for discrepancy in chain(verification.discrepancies(), discrepancies()):
            found += 1
            if found <= MAX_LISTED:
                listed.append(str(discrepancy))
    texts = {"books": _alert_text(found, listed)} if found else {}
    operator_alerts.sync_alerts(Alert.Kind.DISCREPANCY, texts)
    return found


def _alert_text(found: int, listed: Sequence[str]) -> str:
    count = ngettext("%d discrepancy", "%d discrepancies", found) % found
    lines = [f"The books do not add up: {count}.", *listed]
    if found > len(listed):
        lines.append(f"and {found - len(listed)} more: `manage.py verify_ledger`")
    return "\n".join(lines)


def discrepancies() -> Iterator[Discrepancy]:
    """Yield where history and billing disagree. Iterate over it within billing's `snapshot`.

    What was deleted from the history remains in the ledger only.
    """
    first = Charge.objects.order_by("id").values_list("id", flat=True).first()
    if first is None:
        return
    last = UUID(int=first.int - 1)  # older completions were made before anything was billed
    while completions := list(Completion.objects.filter(id__gt=last).order_by("id").defer("request")[:CHUNK]):
        yield from _compare(completions)
        last = completions[-1].id


def _compare(completions: Sequence[Completion]) -> Iterator[Discrepancy]:
    charges = Charge.objects.in_bulk([completion.id for completion in completions])
    for completion in completions:
        charge = charges.get(completion.id)
        if charge is None:
            yield Discrepancy(completion.public_id, "nothing was held for it, and nothing billed")
        elif charge.state == Charge.State.HELD:
            if completion.state == Completion.State.COMPLETED:
                yield Discrepancy(completion.public_id, "it has ended, but is not settled")
        else:
            yield from _compare_settled(completion, charge)


def _compare_settled(completion: Completion, charge: Charge) -> Iterator[Discrepancy]:
    if completion.state == Completion.State.IN_PROGRESS:
        yield Discrepancy(completion.public_id, "it is settled, but has not ended")
    if completion.cost != charge.cost:
        yield Discrepancy(
            completion.public_id,
            f"it says that it cost {completion.cost} nano-USD, and {charge.cost} were billed",
        )
    usage = Usage(**{name: getattr(completion, name) for name in _COUNTS})
    if billing_units(usage, charge.images) != charge.units:
        yield Discrepancy(completion.public_id, "its usage is not what was billed")
    if completion.first_event_at and completion.state != Completion.State.FAILED and not usage.total_tokens:
        yield Discrepancy(completion.public_id, "something was answered, and nothing was billed")
