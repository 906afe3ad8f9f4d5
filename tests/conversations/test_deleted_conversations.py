"""A deleted conversation is gone for everybody and everything, comes back whole, and is purged in the end."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.data_export import DataSubject
from conversations.data_export import export_history
from conversations.deletion import purge_deleted
from conversations.models import Completion, Conversation, Message
from conversations.tasks import purge_deleted_conversations
from core.ids import new_id
from engines.messages import ImagePart
from tests.support.history_rows import NOON, add_message, conversation_of, create_exchange, store_held_file
from tests.support.people import Person
from tests.support.running_server import Server, chat_body

DAY = timedelta(days=1)


def test_it_is_gone_and_comes_back_whole(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    conversation = completion.stored_conversation
    blob = store_held_file(conversation, b"picture", "image/png")
    add_message(conversation, "user", ImagePart(blob))
    path = f"/v1/conversations/{conversation.public_id}"
    reads = [path, f"{path}/items", f"/v1/chat/completions/{completion.public_id}"]
    [shown, items, _] = before = [client.get(one, headers=alice.headers).json() for one in reads]
    [address] = [
        part["asset"]["url"] for item in items["data"] for part in item["content"] if "asset" in part
    ]
    signed = "/" + address.split("/", 3)[-1].removeprefix("/") if "://" in address else address

    client.delete(path, headers=alice.headers)

    for gone in (*reads, signed):
        assert client.get(gone, headers=alice.headers).status_code == 404, gone
    for method in (client.post, client.patch):
        changed = method(path, {"title": "x"}, content_type="application/json", headers=alice.headers)
        assert changed.status_code == 404
    assert client.get("/v1/conversations?archived=any", headers=alice.headers).json()["data"] == []
    [deleted] = client.get("/v1/conversations?deleted=true", headers=alice.headers).json()["data"]
    assert deleted == {
        **shown,
        "updated_at": deleted["updated_at"],
        "deleted_at": deleted["deleted_at"],
    }
    assert deleted["deleted_at"] >= shown["updated_at"]

    for _ in range(2):
        restored = client.post(f"{path}/restore", headers=alice.headers)
        assert restored.status_code == 200
    assert restored.json() == {**shown, "updated_at": restored.json()["updated_at"]}
    after = [client.get(one, headers=alice.headers).json() for one in reads]
    assert [row["id"] for row in after[1]["data"]] == [row["id"] for row in before[1]["data"]]
    assert after[2] == before[2]


def test_what_can_be_restored_is_still_ones_own_to_take_along(alice: Person) -> None:
    conversation = create_exchange(alice).stored_conversation
    Conversation.objects.update(deleted_at=NOON)

    who = DataSubject(alice.user, alice.workspace.pk)
    [exported] = [file for file in export_history(who) if conversation.public_id in file.name]

    head = json.loads(b"".join(exported.pieces))
    assert (head["deleted_at"], len(head["items"])) == (int(NOON.timestamp()), 2)


def test_a_stranger_restores_nothing(alice: Person, charlie: Person, client: Client) -> None:
    conversation = conversation_of(alice, deleted_at=timezone.now())
    for id in (conversation.public_id, f"conv_{new_id().hex}", "x"):
        answer = client.post(f"/v1/conversations/{id}/restore", headers=charlie.headers)
        assert (answer.status_code, answer.json()["error"]["param"]) == (404, "conversation_id")
    assert Conversation.objects.get().deleted_at is not None


def test_no_call_continues_or_repeats_what_is_deleted(server: Server, alice: Person) -> None:
    said = [{"role": "user", "content": "Hello"}]
    with server.client(alice) as client:
        key = {"Idempotency-Key": "once"}
        body = {"model": "scripted", "messages": said}
        first = client.post("/v1/chat/completions", json=body, headers=key)
        id, answer = first.headers["x-conversation-id"], first.json()
        whole = [*said, answer["choices"][0]["message"], {"role": "user", "content": "More"}]
        client.delete(f"/v1/conversations/{id}").raise_for_status()

        named = client.post("/chat/completions", json=chat_body("More", context={"conversation_id": id}))
        again = client.post("/v1/chat/completions", json=body, headers=key)
        threaded = client.post("/v1/chat/completions", json={"model": "scripted", "messages": whole})
        cancelled = client.post(f"/v1/chat/completions/{answer['id']}/cancel")
        assert (named.status_code, named.json()["error"]["param"]) == (404, "context.conversation_id")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "not_stored")
        assert (threaded.status_code, cancelled.status_code) == (200, 404)
        assert threaded.headers["x-conversation-id"] != id

        client.post(f"/v1/conversations/{id}/restore").raise_for_status()
        repeated = client.post("/v1/chat/completions", json=body, headers=key)
        assert repeated.json()["id"] == answer["id"]


def test_a_spoken_answer_of_it_cannot_be_sent_back(server: Server, alice: Person) -> None:
    spoken = {"modalities": ["text", "audio"], "audio": {"voice": "joe", "format": "wav"}}
    with server.client(alice) as client:
        first = client.post("/v1/chat/completions", json=chat_body("Hello", **spoken))
        heard = first.json()["choices"][0]["message"]["audio"]["id"]
        history = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "audio": {"id": heard}},
            {"role": "user", "content": "More"},
        ]
        body = {"model": "scripted", "messages": history}
        path = f"/v1/conversations/{first.headers['x-conversation-id']}"
        client.delete(path).raise_for_status()
        refused = client.post("/v1/chat/completions", json=body)
        client.post(f"{path}/restore").raise_for_status()
        taken = client.post("/v1/chat/completions", json=body)

    assert (refused.status_code, taken.status_code) == (400, 200)


def test_what_was_deleted_long_ago_is_purged(alice: Person, settings: Any) -> None:
    now = timezone.now()
    settings.CHATAPI_DELETED_KEPT_DAYS = 7
    stays = [create_exchange(alice).stored_conversation for _ in range(2)]
    old = [create_exchange(alice).stored_conversation for _ in range(3)]
    Conversation.objects.filter(pk=stays[1].pk).update(deleted_at=now - 6 * DAY)
    Conversation.objects.filter(pk__in=[row.pk for row in old]).update(deleted_at=now - 8 * DAY)

    assert (purge_deleted(now), purge_deleted(now)) == (3, 0)
    purge_deleted_conversations()

    assert list(Conversation.objects.order_by("pk")) == stays
    assert Message.objects.count() == 4


def test_the_purge_finds_it_by_its_index(alice: Person) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    due = Conversation.objects.filter(deleted_at__lt=timezone.now()).order_by("deleted_at")[:100]

    assert "conversation_deleted" in due.explain()


def test_the_purge_locks_as_settlements_do_completions_first(alice: Person) -> None:
    create_exchange(alice)
    Conversation.objects.update(deleted_at=NOON)

    with CaptureQueriesContext(connection) as queries:
        purge_deleted(timezone.now())

    read = [query["sql"] for query in queries.captured_queries if query["sql"].startswith("SELECT")]
    what_expired, *locked = [sql.split(" FROM ")[1].split()[0].strip('"') for sql in read]
    assert what_expired == "conversations_conversation"
    assert locked[:2] == ["conversations_completion", "conversations_conversation"]


def test_an_answer_that_ends_after_the_purge_is_stored_nowhere(server: Server, alice: Person) -> None:
    body = chat_body("[[slow: 0.02]] [[chunks: 40]]", stream=True)
    with server.client(alice) as client, server.client(alice) as other:
        with client.stream("POST", "/v1/chat/completions", json=body) as stream:
            other.delete(f"/v1/conversations/{stream.headers['x-conversation-id']}").raise_for_status()
            assert purge_deleted(timezone.now() + 400 * DAY) == 1
            stream.read()
        server.until_idle()

    assert "w40" in stream.text
    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    assert not Completion.objects.exists()


@pytest.mark.parametrize("number", [2, 50])
def test_the_list_of_what_can_be_restored_costs_the_same_however_long_it_is(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries, number: int
) -> None:
    for _ in range(number):
        conversation_of(alice, deleted_at=NOON)

    with django_assert_num_queries(3):  # the key, the page, what is being answered in it
        page = client.get("/v1/conversations?deleted=true&limit=100", headers=alice.headers).json()
    assert len(page["data"]) == number
