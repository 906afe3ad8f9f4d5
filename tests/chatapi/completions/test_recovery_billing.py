"""Calls left by a dead process are billed by its journal."""

import os
from uuid import UUID

import pytest
from django.utils import timezone

from billing.holds import ChargeRequest
from billing.models import Charge
from billing.prices import add_price
from chatapi.completions.process_heartbeats import journal_path
from chatapi.completions.recovery import settle_interrupted
from chatapi.completions.runs.crash_journal import Journal
from chatapi.completions.token_counts import PromptEstimate
from conversations.models import Conversation
from core.ids import new_id
from engines.events import TextDelta
from tests.support.charges import hold
from tests.support.history_rows import NOON, add_message, completion_of, conversation_of
from tests.support.people import Person
from tests.support.priced_usage import add_credit

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("names", ["its price", "nobody's price"])
def test_the_journals_price_is_used_or_the_promised_one_if_it_is_unknown(alice: Person, names: str) -> None:
    price = add_price("m", {0: {"prompt": 1000, "completion": 2000}})
    add_credit(alice, 10**9)
    process, id = new_id(), new_id()
    order = ChargeRequest(id, "completion", alice.workspace.id, 1, None, ("m",), timezone.now(), process)
    hold(order)
    open_journal = Journal.open(journal_path(process))
    slot = open_journal.slot(id)
    slot.record_request(price.id if names == "its price" else UUID(int=5), PromptEstimate(3))
    slot.record_start()
    slot.add(TextDelta("12345678"))
    open_journal.close()
    asked = add_message(conversation_of(alice), "user", "Tell me")
    completion_of(alice, asked, "interrupted", pk=id)
    settle_interrupted()
    charge = Charge.objects.get()
    assert (charge.state, charge.end, charge.price_id) == ("settled", "interrupted", price.id)
    assert charge.cost == 3 + 2 * 2
    conversation = Conversation.objects.get()
    assert (conversation.cost, conversation.updated_at > NOON) == (charge.cost, True)
    journal_path(process).unlink()


def test_the_journal_of_a_process_that_was_held_up_is_kept(alice: Person) -> None:
    """A process that was stopped, or had no database for some minutes, is silent but alive."""
    process = new_id()
    path = journal_path(process)
    open_journal = Journal.open(path)
    long_ago = path.stat().st_mtime - 600
    os.utime(path, (long_ago, long_ago))

    settle_interrupted()
    assert path.exists()

    slot = open_journal.slot(new_id())
    open_journal.close()  # an open slot keeps the file, and the lock ends: as after a kill
    os.utime(path, (long_ago, long_ago))
    settle_interrupted()
    assert not path.exists()
    slot.release()
