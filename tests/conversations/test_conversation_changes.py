"""Making and changing a conversation: each field, its limits, and what happens meanwhile."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.labels import replace_labels
from conversations.models import Conversation, ConversationLabel, Message
from conversations.settlement import answer_id
from core.ids import new_id
from tests.support.history_rows import (
    NOON,
    add_message,
    completion_of,
    conversation_of,
    create_exchange,
    prompt_of,
)
from tests.support.people import Person, signed_in, token_for
from tests.support.running_server import Server, chat_body

PATH = "/v1/conversations"


def send(who: Person | str, method: str, path: str, body: Any = None) -> Any:
    secret = who if isinstance(who, str) else who.key
    options = (
        {} if method == "GET" else {"data": "" if body is None else body, "content_type": "application/json"}
    )
    call = getattr(Client(), method.lower())
    return call(path, headers={"Authorization": f"Bearer {secret}"}, **options)


def address(conversation: Conversation) -> str:
    return f"{PATH}/{conversation.public_id}"


def refusal(answer: Any) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["code"]


# --- making ---------------------------------------------------------------------------------------


def test_a_conversation_is_made_with_all_that_is_said_of_it(alice: Person) -> None:
    body = {
        "title": " The trip ",
        "metadata": {"a": "1"},
        "tags": ["work", "ünï"],
        "pinned": True,
        "archived": False,
        "user": "xavier",
    }

    made = send(alice, "POST", PATH, body).json()

    assert {name: made[name] for name in body} == {**body, "title": "The trip"}
    assert (made["object"], made["message_count"], made["head_id"]) == ("conversation", 0, None)
    assert send(alice, "GET", f"{PATH}/{made['id']}").json() == made
    row = Conversation.objects.get()
    assert (row.titled_by, row.api_key_id, row.user_id) == ("client", alice.key_id, None)
    for query in ("tag=work", "metadata[a]=1", "user=xavier"):
        assert len(send(alice, "GET", f"{PATH}?{query}").json()["data"]) == 1


def test_nothing_has_to_be_said_and_null_says_nothing(alice: Person) -> None:
    nulls = dict.fromkeys(["title", "metadata", "tags", "user", "items"])
    for body in (None, {}, nulls):
        made = send(alice, "POST", PATH, body).json()
        assert (made["title"], made["metadata"], made["tags"], made["user"]) == (None, {}, [], None)
    assert set(Conversation.objects.values_list("titled_by", flat=True)) == {"first_words"}


def test_in_a_session_it_is_the_persons_own(alice: Person, bob: Person) -> None:
    browser = signed_in(alice.user)

    made = browser.post(PATH, {"user": "xavier"}, content_type="application/json").json()

    row = Conversation.objects.get()
    assert (row.user_id, row.api_key_id, row.end_user) == (alice.user.pk, None, "xavier")
    assert send(bob, "GET", f"{PATH}/{made['id']}").status_code == 404


def test_a_token_makes_it_for_its_own_end_user_alone(alice: Person) -> None:
    token = token_for(alice, "xavier")

    for body in ({}, {"user": ""}, {"user": "xavier"}):
        assert send(token, "POST", PATH, body).json()["user"] == "xavier"
    assert refusal(send(token, "POST", PATH, {"user": "yvonne"})) == (403, "user", "another_end_user")


def test_a_call_continues_what_was_made_and_gives_it_its_first_words(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for title, expected in ((None, "Hello there"), ("Mine", "Mine")):
            made = client.post(PATH, json={"title": title, "user": "xavier"}).json()
            body = chat_body("Hello there", context={"conversation_id": made["id"]}, stream=False)
            client.post("/chat/completions", json=body).raise_for_status()
            now = client.get(f"{PATH}/{made['id']}").json()
            assert (now["title"], now["message_count"], now["state"]) == (expected, 2, "completed")
            whole = [*body["messages"], {"role": "assistant", "content": now["preview"]}]
            more = {
                "model": "scripted",
                "messages": [*whole, {"role": "user", "content": "More"}],
                "user": "xavier",
            }
            answer = client.post("/v1/chat/completions", json=more)
            assert answer.headers["x-conversation-id"] == made["id"]  # its digests begin as those of calls


def test_its_first_items_are_stored_with_it_or_it_is_not_made(alice: Person) -> None:
    said = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]

    made = send(alice, "POST", PATH, {"title": "Demo", "items": said}).json()
    assert (made["title"], made["message_count"]) == ("Demo", 2)
    assert made["head_id"] == Message.objects.get(role="assistant").public_id
    assert send(alice, "GET", f"{PATH}/{made['id']}").json() == made

    refused = send(alice, "POST", PATH, {"items": [*said, {"role": "nobody", "content": "x"}]})
    assert refusal(refused)[:2] == (400, "items[2].role")
    assert Conversation.objects.count() == 1


# --- limits ---------------------------------------------------------------------------------------

SHARED_REFUSALS: list[tuple[Any, str | None, str]] = [
    ({"title": "x" * 201}, "title", "string_above_max_length"),
    ({"title": "x" * 1_000_000}, "title", "string_above_max_length"),
    ({"title": 1}, "title", "invalid_type"),
    ({"title": ["a"]}, "title", "invalid_type"),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "invalid_value"),
    ({"metadata": {"k" * 65: ""}}, f"metadata.{'k' * 65}", "string_above_max_length"),
    ({"metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length"),
    ({"metadata": {"k": 1}}, "metadata.k", "invalid_type"),
    ({"metadata": {"k": None}}, "metadata.k", "invalid_type"),
    ({"metadata": []}, "metadata", "invalid_type"),
    ({"tags": [str(n) for n in range(21)]}, "tags", "array_above_max_length"),
    ({"tags": ["x" * 65]}, "tags[0]", "string_above_max_length"),
    ({"tags": ["a", ""]}, "tags[1]", "invalid_value"),
    ({"tags": ["a", "b", "a"]}, "tags[2]", "invalid_value"),
    ({"tags": "a"}, "tags", "invalid_type"),
    ({"tags": [["a"]]}, "tags[0]", "invalid_type"),
    ({"pinned": 1}, "pinned", "invalid_type"),
    ({"pinned": None}, "pinned", "invalid_type"),
    ({"archived": "true"}, "archived", "invalid_type"),
    ({"name": "x"}, "name", "unsupported_parameter"),
    ([], None, "invalid_type"),
    ('{"title": "\\u0000"}', "title", "invalid_value"),
    ('{"tags": ["\\ud800"]}', "tags[0]", "invalid_value"),
    ('{"metadata": {"a\\u0000": "b"}}', "metadata.a\ufffd", "invalid_value"),
]


def test_what_is_wrong_is_named_and_changes_nothing(alice: Person) -> None:
    conversation = conversation_of(alice, title="as it was")
    makes = [
        ({"user": "x" * 257}, "user", "string_above_max_length"),
        ({"items": {}}, "items", "invalid_type"),
    ]
    too_many: Any = ({"items": [{}] * 21}, "items", "array_above_max_length")
    changes: list[tuple[Any, str | None, str]] = [
        ({}, None, "missing_required_parameter"),
        ({"head": None}, "head", "invalid_type"),
        ({"head": 1}, "head", "invalid_type"),
        ({"visibility": "everybody"}, "visibility", "invalid_value"),
        ({"user": "other"}, "user", "unsupported_parameter"),
        ({"title": "new", "head": "msg_" + "0" * 32}, "head", "not_found"),
    ]
    for method, path, extra in (
        ("POST", PATH, [*makes, too_many]),
        ("POST", address(conversation), changes),
        ("PATCH", address(conversation), changes),
    ):
        for body, param, code in [*SHARED_REFUSALS, *extra]:
            answer = send(alice, method, path, body)
            assert refusal(answer) == (answer.status_code, param, code), (method, path, str(body)[:80])
            assert answer.status_code in (400, 404)
    assert Conversation.objects.values_list("title").get() == ("as it was",)
    assert not ConversationLabel.objects.exists()


# --- changing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_each_field_is_changed_alone(method: str, alice: Person, client: Client) -> None:
    conversation = conversation_of(alice, title="Hello?", metadata={"a": "1"}, tags=["x"])
    path, last = address(conversation), int(NOON.timestamp())
    for changes in (
        {"title": "New"},
        {"metadata": {"b": "2"}},
        {"tags": ["y"]},
        {"pinned": True},
        {"archived": True},
        {"visibility": "workspace"},
    ):
        before = send(alice, "GET", path).json()
        after = send(alice, method, path, changes).json()
        assert after == {**before, **changes, "updated_at": after["updated_at"]}
        assert after["updated_at"] > last
    for query, count in (("tag=y", 1), ("tag=x", 0), ("metadata[b]=2", 1), ("metadata[a]=1", 0)):
        found = send(alice, "GET", f"{PATH}?archived=true&{query}").json()["data"]
        assert len(found) == count, query

    emptied = send(alice, method, path, {"metadata": None, "tags": None}).json()
    assert (emptied["metadata"], emptied["tags"]) == ({}, [])
    assert not ConversationLabel.objects.exists()


def test_without_a_title_it_is_automatic_again(alice: Person) -> None:
    conversation = conversation_of(alice)
    for nothing in (None, "", "  "):
        assert send(alice, "POST", address(conversation), {"title": "Mine"}).json()["title"] == "Mine"
        assert Conversation.objects.get().titled_by == "client"
        assert send(alice, "POST", address(conversation), {"title": nothing}).json()["title"] is None
        assert Conversation.objects.get().titled_by == "first_words"


def test_the_branch_that_is_shown_is_chosen(alice: Person) -> None:
    completion = create_exchange(alice)
    conversation, question = completion.stored_conversation, completion.prompt
    assert question is not None
    first = Message.objects.get(role="assistant")
    second = add_message(conversation, "assistant", "Hello again.", after=question)
    gone = add_message(conversation, "assistant", "No.", after=question, emptied_at=NOON)
    others = create_exchange(alice)
    path = address(conversation)

    for item, expected in (
        (first.public_id, first),
        (second.public_id, second),
        (f"fc_{first.pk.hex}_3", first),
        (f"rs_{second.pk.hex}", second),
        (question.public_id, question),
    ):
        assert send(alice, "PATCH", path, {"head": item}).json()["head_id"] == expected.public_id
    wrong = [gone.public_id, others.prompt.public_id if others.prompt else "", f"msg_{new_id().hex}"]
    for item in (*wrong, "", "msg_", "x" * 5000, "msg_" + "٣" * 32, completion.public_id):
        assert refusal(send(alice, "PATCH", path, {"head": item})) == (404, "head", "not_found")
    assert Conversation.objects.get(pk=conversation.pk).head_id == question.pk


def test_an_answer_that_is_being_made_is_shown_once_it_is_there(alice: Person) -> None:
    completion = create_exchange(alice)
    conversation, asked = completion.stored_conversation, prompt_of(completion)
    running = completion_of(alice, asked, "in_progress", request={"n": 2})
    assert running.first_answer

    for choice in range(2):
        Conversation.objects.update(head=Message.objects.get(role="assistant"))
        answer = f"msg_{answer_id(running.first_answer, choice).hex}"
        changed = send(alice, "PATCH", address(conversation), {"head": answer})
        assert (changed.status_code, changed.json()["head_id"]) == (200, asked.public_id)
    third = f"msg_{answer_id(running.first_answer, 2).hex}"
    for path, item in ((address(conversation), third), (address(conversation_of(alice)), answer)):
        assert refusal(send(alice, "PATCH", path, {"head": item})) == (404, "head", "not_found")


def test_an_end_users_browser_changes_its_own_but_shares_nothing(alice: Person) -> None:
    token, mine = token_for(alice, "xavier"), conversation_of(alice, end_user="xavier")
    theirs = conversation_of(alice, end_user="yvonne")

    assert send(token, "PATCH", address(mine), {"title": "Mine"}).json()["title"] == "Mine"
    assert refusal(send(token, "PATCH", address(theirs), {"title": "Mine"}))[:2] == (404, "conversation_id")
    refused = send(token, "PATCH", address(mine), {"title": "Ours", "visibility": "workspace"})
    assert refusal(refused)[:2] == (403, "visibility")
    assert Conversation.objects.get(pk=mine.pk).title == "Mine"


def test_a_change_costs_the_same_for_each_conversation(
    alice: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    short, long = create_exchange(alice).stored_conversation, create_exchange(alice).stored_conversation
    long.metadata, long.tags = {f"key {n}": "x" for n in range(16)}, [f"tag {n}" for n in range(16)]
    long.save()
    replace_labels(long)
    for number in range(50):
        add_message(long, "user", f"message {number}")
    body = {"title": "New", "metadata": {"a": "1"}, "tags": ["b"], "pinned": True, "head": ""}
    for conversation in (short, long):
        body["head"] = Message.objects.filter(conversation=conversation).latest("pk").public_id
        with django_assert_num_queries(8):
            assert send(alice, "PATCH", address(conversation), body).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_updates_at_once_none_is_lost(alice: Person) -> None:
    conversation = conversation_of(alice)
    bodies: list[dict[str, Any]] = [
        {"title": "New"},
        {"metadata": {"a": "1"}},
        {"tags": ["b"]},
        {"pinned": True},
    ]

    answered = []

    def change(body: Any) -> None:
        try:
            for _ in range(5):
                answered.append(send(alice, "PATCH", address(conversation), body).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=change, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert answered == [200] * 20
    now = send(alice, "GET", address(conversation)).json()
    assert {**now, **{name: value for body in bodies for name, value in body.items()}} == now
    for query in ("tag=b", "metadata[a]=1"):
        assert len(send(alice, "GET", f"{PATH}?{query}").json()["data"]) == 1
