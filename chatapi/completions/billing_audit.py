"""Whether the history tells of each completion what was billed for it, and all of the books add up."""

from collections.abc import Iterator, Sequence
from itertools import chain
from uuid import UUID

from billing import alerts, verification
from billing.database_snapshot import snapshot
from billing.models import Alert, Charge
from billing.verification import Discrepancy
from chatapi.completions.pricing import units_of
from conversations.models import Completion
from engines.events import Usage

CHUNK = 2000
NAMED = 10
"""How many discrepancies an alert lists."""
_COUNTS = tuple(Usage().counts)


def reconcile() -> int:
    """Prove all of the books, and tell an operator where they do not add up. Gives how many discrepancies
    there are. Keeps nobody from writing; `manage.py verify_ledger` lists all of them."""
    found = 0
    named: list[str] = []
    with snapshot():
        for discrepancy in chain(verification.discrepancies(), discrepancies()):
            found += 1
            if found <= NAMED:
                named.append(str(discrepancy))
    matters = {"books": _told(found, named)} if found else {}
    alerts.show(Alert.Kind.DISCREPANCY, matters)
    return found


def _told(found: int, named: Sequence[str]) -> str:
    lines = [f"The books do not add up: {found} discrepancies.", *named]
    if found > len(named):
        lines.append(f"and {found - len(named)} more: `manage.py verify_ledger`")
    return "\n".join(lines)


def discrepancies() -> Iterator[Discrepancy]:
    """To be read within billing's `snapshot`. What was deleted from the history stays in the books alone."""
    first = Charge.objects.order_by("id").values_list("id", flat=True).first()
    if first is None:
        return
    last = UUID(int=first.int - 1)  # what is older was made before anything was billed
    while completions := list(Completion.objects.filter(id__gt=last).order_by("id").defer("request")[:CHUNK]):
        yield from _of(completions)
        last = completions[-1].id


def _of(completions: Sequence[Completion]) -> Iterator[Discrepancy]:
    charges = Charge.objects.in_bulk([completion.id for completion in completions])
    for completion in completions:
        charge = charges.get(completion.id)
        if charge is None:
            yield Discrepancy(completion.public_id, "nothing was held for it, and nothing billed")
        elif charge.state == Charge.State.HELD:
            if completion.state == Completion.State.COMPLETED:
                yield Discrepancy(completion.public_id, "it has ended, but is not settled")
        else:
            yield from _ended(completion, charge)


def _ended(completion: Completion, charge: Charge) -> Iterator[Discrepancy]:
    if completion.state == Completion.State.IN_PROGRESS:
        yield Discrepancy(completion.public_id, "it is settled, but has not ended")
    if completion.cost != charge.cost:
        yield Discrepancy(
            completion.public_id,
            f"it says that it cost {completion.cost} nano-USD, and {charge.cost} were billed",
        )
    usage = Usage(**{name: getattr(completion, name) for name in _COUNTS})
    if units_of(usage, charge.images) != charge.units:
        yield Discrepancy(completion.public_id, "its usage is not what was billed")
    if completion.first_event_at and completion.state != Completion.State.FAILED and not usage.total_tokens:
        yield Discrepancy(completion.public_id, "something was answered, and nothing was billed")
