"""What a dead process left is billed as its journal tells."""

import os
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from billing.holds import ChargeRequest, HoldBatch
from billing.models import Charge
from billing.prices import add_price
from billing.tariffs import Bound
from chatapi.completions.recovery import journal_path, settle_interrupted
from chatapi.completions.runs.journal import Journal
from core.ids import new_id
from engines.events import TextDelta
from tests.support.people import Person
from tests.support.priced_usage import give

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("names", ["its price", "nobody's price"])
def test_by_the_price_it_names_or_where_that_is_nobodys_by_the_promised_one(
    alice: Person, names: str
) -> None:
    price = add_price("m", {0: {"prompt": 1000, "completion": 2000}})
    give(alice, 10**9)
    process, id = new_id(), new_id()
    order = ChargeRequest(id, "completion", alice.workspace.id, 1, None, ("m",), timezone.now(), process)
    with transaction.atomic():
        books = HoldBatch([order], [])
        books.hold(order, lambda: Bound(prompt=10, output=10))
        books.write()
    kept = Journal(journal_path(process))
    slot = kept.slot(id)
    slot.asked(price.id if names == "its price" else UUID(int=5), 3, 0)
    slot.begun()
    slot.add(TextDelta("12345678"))
    kept.close()
    settle_interrupted()
    charge = Charge.objects.get()
    assert (charge.state, charge.end, charge.price_id) == ("settled", "interrupted", price.id)
    assert charge.cost == 3 + 2 * 2
    journal_path(process).unlink()


def test_what_a_process_that_was_held_up_goes_on_noting_is_not_thrown_away(alice: Person) -> None:
    """Stopped, or with a database that was away for some minutes, it is silent, and lives."""
    process = new_id()
    path = journal_path(process)
    kept = Journal(path)
    long_ago = path.stat().st_mtime - 600
    os.utime(path, (long_ago, long_ago))

    settle_interrupted()
    assert path.exists()

    slot = kept.slot(new_id())
    kept.close()  # what stands in it keeps the file: as a kill would, which ends the lock
    os.utime(path, (long_ago, long_ago))
    settle_interrupted()
    assert not path.exists()
    slot.release()
