"""`manage.py seed_demo`: what it stores is what the service itself would have stored."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import Count, Sum
from django.test import Client
from django.utils import timezone

from billing.models import Wallet
from chatapi.demo.history import make_history
from chatapi.demo.producer import produce
from chatapi.demo.seeding import Wishes, prepare
from conversations.digest_chain import chain_digests
from conversations.models import Completion, Conversation, ConversationAsset, ConversationLabel, Message
from conversations.settlement import preview
from conversations.thread_lookup import as_read, path_to
from core.blob import Blob
from core.ids import first_id_at
from engines.messages import TextPart
from media.models import Asset, Rendition, rendition_name
from media.services import read_bytes, read_stored
from tests.support.running_server import Server

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
MESSAGES = 2000


def seed(messages: int = MESSAGES, **options: Any) -> dict[str, Any]:
    """Seed the database; return what the command says."""
    output = StringIO()
    call_command("seed_demo", messages=messages, json=True, stdout=output, stderr=StringIO(), **options)
    facts: dict[str, Any] = json.loads(output.getvalue())
    return facts


@pytest.fixture
def seeded(db: None) -> dict[str, Any]:
    return seed()


def test_as_many_messages_are_made_as_are_asked_for_of_workspaces_of_different_sizes(
    seeded: dict[str, Any],
) -> None:
    assert seeded["rows"]["messages"] == Message.objects.count() == MESSAGES
    sizes = Message.objects.values("conversation__workspace").annotate(count=Count("id"))
    ordered = sorted((size["count"] for size in sizes), reverse=True)
    assert len(ordered) == len(seeded["workspaces"]) == 8
    assert ordered[0] > 0.35 * MESSAGES
    assert ordered[-1] < 0.1 * MESSAGES


def test_the_ledger_accepts_what_was_seeded(seeded: dict[str, Any]) -> None:
    report = StringIO()
    call_command("verify_ledger", stdout=report)
    assert report.getvalue().endswith(", 0 discrepancies\n")
    assert all(wallet.balance >= 0 for wallet in Wallet.objects.all())


def test_conversations_say_what_their_rows_sum_up_to(seeded: dict[str, Any]) -> None:
    costs = dict(Completion.objects.values_list("conversation").annotate(total=Sum("cost")))
    newest = dict(Completion.objects.order_by("id").values_list("conversation", "id"))
    messages: dict[UUID, set[UUID]] = defaultdict(set)
    for owner, id in Message.objects.values_list("conversation", "id"):
        messages[owner].add(id)
    for conversation in Conversation.objects.all():
        assert conversation.message_count == len(messages[conversation.pk])
        assert conversation.cost == costs[conversation.pk]
        assert conversation.last_completion_id == newest[conversation.pk]
        assert conversation.head_id in messages[conversation.pk]
        assert conversation.title


def test_a_conversation_shows_the_first_words_of_its_newest_first_answer(seeded: dict[str, Any]) -> None:
    for conversation in Conversation.objects.exclude(preview="").select_related("head")[:100]:
        assert conversation.head
        assert (
            conversation.head.role != "assistant" or preview(conversation.head.parts) == conversation.preview
        )


def test_nothing_is_in_the_future_and_ids_tell_when_something_was_made(seeded: dict[str, Any]) -> None:
    now = timezone.now()
    for message in Message.objects.all():
        made = first_id_at(message.created_at)
        assert message.created_at <= now
        # an answer's id is made when the call is admitted
        assert (
            first_id_at(message.created_at - timedelta(minutes=1))
            <= message.pk
            < first_id_at(message.created_at + timedelta(milliseconds=1))
        ), made
    assert not Conversation.objects.filter(updated_at__gt=now).exists()
    assert not Conversation.objects.filter(deleted_at__gt=now).exists()


def test_each_message_follows_its_parent_and_chains_onto_its_digest(seeded: dict[str, Any]) -> None:
    for message in Message.objects.select_related("parent", "conversation"):
        before = message.parent.digest if message.parent else message.conversation.scope
        assert [message.digest] == chain_digests(before, [as_read(message)])
        assert message.parent is None or message.parent.pk < message.pk


def test_there_is_some_of_everything(seeded: dict[str, Any]) -> None:
    states = set(Completion.objects.values_list("state", flat=True))
    assert states == {"completed", "cancelled", "interrupted", "failed"}
    branches = Message.objects.values("parent").annotate(count=Count("id")).filter(count__gt=1)
    assert branches.exclude(parent=None).exists()
    assert Message.objects.filter(role="tool").exists()
    for flag in ("pinned", "archived"):
        assert Conversation.objects.filter(**{flag: True}).exists()
    assert Conversation.objects.filter(deleted_at__isnull=False).exists()
    assert Conversation.objects.filter(api_key=None, visibility="workspace").exists()
    assert set(Conversation.objects.values_list("titled_by", flat=True)) == {"first_words", "model", "client"}
    assert ConversationLabel.objects.exists()


def test_the_bytes_of_all_files_are_in_the_storage(seeded: dict[str, Any]) -> None:
    assert ConversationAsset.objects.exists()
    for asset in Asset.objects.all():
        blob = Blob(asset.sha256, asset.media_type, asset.size)
        assert len(read_bytes(asset.workspace_id, blob)) == asset.size
    for rendition in Rendition.objects.exclude(media_type=""):
        assert len(read_stored(rendition_name(rendition.workspace_id, rendition.pk))) == rendition.size


def test_whoever_was_made_can_sign_in_and_read_all_there_is(seeded: dict[str, Any]) -> None:
    tenant = seeded["workspaces"][0]
    assert authenticate(username=tenant["owner"], password=seeded["password"])
    browser = Client(headers={"Authorization": f"Bearer {tenant['key']}"})
    listed = list(conversations_of(browser))
    there = Conversation.objects.filter(
        workspace=tenant["workspace"], api_key__isnull=False, deleted_at=None, archived=False
    )
    assert {row["id"] for row in listed} == {conversation.public_id for conversation in there}
    for row in listed[:30]:
        page = browser.get(f"/v1/conversations/{row['id']}/items?branch=all&limit=100").json()
        messages = {item.get("message_id") or item["id"] for item in page["data"]}
        assert page["has_more"] or len(messages) >= row["message_count"]


def conversations_of(browser: Client) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        page = browser.get(f"/v1/conversations?limit=100{after}").json()
        yield from page["data"]
        if not page["has_more"]:
            return
        after = f"&after={quote(page['next_cursor'])}"


def test_a_database_with_a_history_is_left_alone_unless_that_is_meant(seeded: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="--into-existing"):
        seed(100)
    seed(100, into_existing=True)
    assert Message.objects.count() == MESSAGES + 100
    call_command("verify_ledger", stdout=StringIO())


@pytest.mark.parametrize("messages", [0, 1, 2, 3, 17])
def test_a_history_of_few_messages_is_whole_too(db: None, messages: int) -> None:
    seed(messages)
    assert Message.objects.count() == messages
    call_command("verify_ledger", stdout=StringIO())


def test_the_same_seed_makes_the_same_rows(db: None) -> None:
    with transaction.atomic():
        plan, _ = prepare(Wishes(400, 3, 7, NOON))
    first, again = list(make_history(plan)), list(make_history(plan))
    assert first == again
    assert first != list(make_history(plan._replace(seed=8)))


def test_a_process_of_its_own_makes_the_same_rows(db: None) -> None:
    plan, _ = prepare(Wishes(400, 3, 7, NOON))
    assert list(produce(plan)) == list(make_history(plan))


def test_a_history_that_is_sent_again_is_continued(server: Server) -> None:
    tenant = seed(400)["workspaces"][0]
    conversation = conversation_of_words(tenant["workspace"])
    said = [{"role": one.role, "content": one.text} for one in path_to(conversation.head)]
    body = {
        "model": "scripted",
        "messages": [*said, {"role": "user", "content": "Thank you!"}],
        "user": conversation.end_user,
    }
    with server.client(Authorization=f"Bearer {tenant['key']}") as client:
        answered = client.post("/v1/chat/completions", json=body)
    assert answered.status_code == 200, answered.text
    before = conversation.message_count
    conversation.refresh_from_db()
    assert conversation.message_count == before + 2


def conversation_of_words(workspace: str) -> Conversation:
    """Return a conversation of keys that has nothing but texts."""
    rows = Conversation.objects.filter(
        workspace_id=UUID(workspace), api_key__isnull=False, deleted_at=None, head__role="assistant"
    )
    for conversation in rows.order_by("-message_count").select_related("head"):
        messages = path_to(conversation.head)
        if all(isinstance(part, TextPart) for message in messages for part in message.parts):
            return conversation
    raise AssertionError("each conversation has more than words")
