"""A row of every kind that the admin site shows, for tests that go through all its pages."""

from django.utils import timezone

from billing import ledger, operator_alerts
from billing.models import Alert
from billing.statements import create_missing_statements
from billing.terms_and_budgets import add_budget
from chatapi.models import RequestCount, RequestRecord
from conversations.models import Conversation
from media.models import File
from media.services import PICTURE_RENDITIONS
from tests.support.billed_months import USD, create_wallet, day, frozen_clock, post_call
from tests.support.history_rows import (
    add_message,
    completion_of,
    conversation_of,
    finish_rendition,
    store_held_file,
)
from tests.support.media_admin import store_asset
from tests.support.people import Person


def create_billing_rows(who: Person) -> None:
    """Create a wallet with payments and charges, a closed month, a budget and an alert."""
    create_wallet(who)
    with frozen_clock(day(2)):
        ledger.top_up(who.workspace.id, 5 * USD, reason="Invoice 7", by="treasurer@example.com")
    post_call(who, day(3))
    with frozen_clock(day(1, month=2)):
        create_missing_statements()
    post_call(who, day(3, month=2))
    add_budget(who.workspace.id, None, "day", USD)
    workspace_id = str(who.workspace.id)
    operator_alerts.sync_alerts(
        Alert.Kind.LOW_BALANCE, {workspace_id: f"The workspace {workspace_id} has 0.00 USD left."}
    )


def create_branched_conversation(who: Person) -> Conversation:
    """Create a conversation whose question was answered, then asked anew in another branch."""
    conversation = conversation_of(who, title="Holidays in Norway")
    asked = add_message(conversation, "user", "Where to?")
    completion = completion_of(who, asked, prompt_tokens=3, completion_tokens=2)
    answer = add_message(
        conversation, "assistant", "To Bergen.", after=asked, completion=completion, choice=0
    )
    add_message(conversation, "user", "And in winter?", after=answer)
    add_message(conversation, "user", "And by train?", after=answer)
    return conversation


def create_request_records(who: Person, **columns: object) -> None:
    """Create the record of a call that was refused, and a count of those that have none."""
    columns = {"api_key_id": who.key_id, "status": 404, "code": "not_found", **columns}
    RequestRecord.objects.create(workspace=who.workspace, milliseconds=5, **columns)
    RequestCount.objects.create(hour=timezone.now(), kind=RequestCount.Kind.LOST, count=1888)


def create_picture(who: Person, conversation: Conversation) -> File:
    """Create an uploaded picture with a thumbnail, of which only the rows are real."""
    asset = store_asset(conversation, b"picture", "image/png", *PICTURE_RENDITIONS, "text")
    blob = store_held_file(conversation, b"picture", "image/png")
    finish_rendition(conversation, blob, "thumbnail", media_type="image/webp", size=5)
    finish_rendition(conversation, blob, "text", content={"text": "STOP"})
    return File.objects.create(
        workspace=who.workspace, user=who.user, asset=asset, filename="sign.png", purpose="vision"
    )
