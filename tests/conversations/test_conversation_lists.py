"""The list of conversations: its pages, filters, and what each row shows."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.labels import replace_labels
from conversations.models import Completion, Conversation, ConversationLabel
from tests.support.history_rows import NOON, add_message, completion_of, conversation_of, create_exchange
from tests.support.people import Person, signed_in, token_for

AUTHENTICATION = 1
RUNNING = 1
SECOND = timedelta(seconds=1)


class List:
    """The list as one caller asks for it."""

    def __init__(self, who: Person | str, browser: Client | None = None) -> None:
        self._client = browser or Client()
        secret = who if isinstance(who, str) else who.key
        self._headers = {} if browser else {"Authorization": f"Bearer {secret}"}

    def get(self, query: str = "") -> Any:
        return self._client.get(f"/v1/conversations?{query}", headers=self._headers)

    def titles(self, query: str = "") -> list[str]:
        answer = self.get(query)
        assert answer.status_code == 200, answer.text
        return [row["title"] for row in answer.json()["data"]]

    def refusal(self, query: str) -> tuple[int, str | None]:
        answer = self.get(query)
        return answer.status_code, answer.json()["error"]["param"]


@pytest.fixture
def listed(alice: Person) -> List:
    return List(alice)


@pytest.fixture
def five(alice: Person) -> list[Conversation]:
    """Five conversations, each updated a second after the one before, but made in the reverse order."""
    return [
        conversation_of(alice, title=str(number), updated_at=NOON + number * SECOND)
        for number in reversed(range(5))
    ]


# --- pages ----------------------------------------------------------------------------------------


def test_pages_follow_each_other_to_the_end(five: list[Conversation], listed: List) -> None:
    for parameter in ("next_cursor", "last_id"):
        seen, after = [], ""
        while True:
            page = listed.get(f"limit=2{after}").json()
            seen += [row["title"] for row in page["data"]]
            assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
            assert page["has_more"] == (page["next_cursor"] is not None)
            if not page["has_more"]:
                break
            after = f"&after={page[parameter]}"
        assert seen == list("43210")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("order=asc", "01234"),
        ("order_by=updated_at&order=desc", "43210"),
        ("order_by=created_at", "01234"),
        ("order_by=created_at&order=asc", "43210"),
    ],
)
def test_the_orders(query: str, expected: str, five: list[Conversation], listed: List) -> None:
    assert "".join(listed.titles(query)) == expected
    page = listed.get(f"{query}&limit=3").json()
    assert "".join(listed.titles(f"{query}&after={page['next_cursor']}")) == expected[3:]


def test_what_moves_up_meanwhile_is_not_shown_twice_and_found_by_its_time(
    five: list[Conversation], listed: List
) -> None:
    page = listed.get("limit=2").json()
    Conversation.objects.filter(title__in=["1", "4"]).update(updated_at=NOON + 10 * SECOND)

    assert listed.titles(f"limit=9&after={page['next_cursor']}") == ["2", "0"]
    assert sorted(listed.titles(f"updated_after={int(NOON.timestamp()) + 10}")) == ["1", "4"]


def test_a_cursor_outlives_the_row_that_it_was_made_of(five: list[Conversation], listed: List) -> None:
    page = listed.get("limit=2").json()
    Conversation.objects.filter(title="3").delete()

    assert listed.titles(f"after={page['next_cursor']}") == list("210")
    assert listed.refusal(f"after={page['last_id']}") == (400, "after")


def test_a_cursor_of_another_list_is_refused(
    five: list[Conversation], listed: List, alice: Person, bob: Person, charlie: Person
) -> None:
    cursor = listed.get("limit=1&pinned=false").json()["next_cursor"]
    again = f"limit=1&pinned=false&after={cursor}"

    assert listed.titles(again) == List(bob).titles(again) == ["3"]  # a workspace's keys see the same
    for other in ("order=asc", "order_by=created_at", "archived=any", "tag=x", "pinned=true", "deleted=true"):
        assert listed.refusal(f"{other}&after={cursor}") == (400, "after"), other
    for stranger in (charlie, token_for(alice, "xavier")):
        assert List(stranger).refusal(again) == (400, "after")
    for wrong in (cursor[:-1], cursor + "A", cursor.swapcase(), "cursor_", "x", "%00", "conv_" + "0" * 32):
        assert listed.refusal(f"pinned=false&after={wrong}") == (400, "after"), wrong


def test_a_page_cannot_start_after_a_strangers_id(listed: List, charlie: Person) -> None:
    assert listed.refusal(f"after={conversation_of(charlie).public_id}") == (400, "after")


def test_an_empty_list(listed: List) -> None:
    assert listed.get().json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
        "next_cursor": None,
    }


def test_what_is_seen_in_two_ways_is_listed_once(alice: Person) -> None:
    own = {"api_key_id": None, "user": alice.user}
    for number in range(4):
        shared = {"visibility": "workspace"} if number % 2 else {}
        conversation_of(alice, title=str(number), updated_at=NOON + number * SECOND, **own, **shared)
    conversation_of(alice, title="a key's", updated_at=NOON + 2 * SECOND, visibility="workspace")
    listed = List(alice, signed_in(alice.user))

    page = listed.get("limit=3").json()

    assert [row["title"] for row in page["data"]] == ["3", "a key's", "2"]
    assert listed.titles(f"after={page['next_cursor']}") == ["1", "0"]
    assert listed.titles("order_by=created_at") == ["a key's", "3", "2", "1", "0"]


@pytest.mark.parametrize("count", [2, 50])
def test_a_list_costs_the_same_however_long_it_is(
    count: int, alice: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        create_exchange(alice, question=str(number))
    browser = signed_in(alice.user)
    browser.get("/v1/conversations")
    session = 3

    with django_assert_num_queries(AUTHENTICATION + 1):
        assert List(alice).titles("limit=100&tag=a&metadata[b]=c") == []
    with django_assert_num_queries(AUTHENTICATION + 1 + RUNNING) as queries:
        assert len(List(alice).titles("limit=100")) == count
    with django_assert_num_queries(session + 3 + RUNNING):  # mine, shared, and of keys
        assert len(List(alice, browser).titles("limit=100")) == count

    read = " ".join(query["sql"] for query in queries.captured_queries)
    assert "conversations_message" not in read
    assert '"request"' not in read


# --- filters --------------------------------------------------------------------------------------


@pytest.fixture
def shelf(alice: Person) -> dict[str, Conversation]:
    """Conversations of which each differs from the others in one thing."""
    rows: dict[str, dict[str, Any]] = {
        "plain": {},
        "for xavier": {"end_user": "xavier"},
        "pinned": {"pinned": True},
        "archived": {"archived": True},
        "deleted": {"deleted_at": NOON},
        "deleted, archived": {"deleted_at": NOON, "archived": True},
        "tagged": {"tags": ["work", "a,b", "ünï"]},
        "tagged once": {"tags": ["work"]},
        "labelled": {"metadata": {"a": "1", "b[c].d'\"9": "x=y&z", "ü": "é", "": "nothing"}},
        "old": {"created_at": NOON - SECOND, "updated_at": NOON - SECOND},
        "new": {"created_at": NOON + SECOND, "updated_at": NOON + SECOND},
    }
    made = {title: conversation_of(alice, title=title, **columns) for title, columns in rows.items()}
    for conversation in made.values():
        replace_labels(conversation)
    for title, state in (("failed", "failed"), ("running", "in_progress")):
        made[title] = conversation_of(alice, title=title)
        asked = add_message(made[title], "user", "Hello?")
        completion_of(alice, asked, state)
    Completion.objects.filter(state="failed").update(model="model of failed")
    Completion.objects.filter(state="in_progress").update(model="model of running")
    return made


EVERYTHING = {
    *("plain", "for xavier", "pinned", "tagged", "tagged once", "labelled", "old", "new", "failed", "running")
}
AT = int(NOON.timestamp())


FILTERS: list[tuple[list[tuple[str, str]], set[str]]] = [
    ([], EVERYTHING),
    ([("user", "xavier")], {"for xavier"}),
    ([("user", "")], EVERYTHING - {"for xavier"}),
    ([("user", "' OR 1=1 --")], set()),
    ([("pinned", "true")], {"pinned"}),
    ([("pinned", "false")], EVERYTHING - {"pinned"}),
    ([("archived", "true")], {"archived"}),
    ([("archived", "any")], EVERYTHING | {"archived"}),
    ([("archived", "false")], EVERYTHING),
    ([("deleted", "false")], EVERYTHING),
    ([("deleted", "true")], {"deleted", "deleted, archived"}),
    ([("deleted", "true"), ("archived", "false")], {"deleted"}),
    ([("tag", "work")], {"tagged", "tagged once"}),
    ([("tag", "work"), ("tag", "a,b")], {"tagged"}),
    ([("tag[]", "work"), ("tag[]", "ünï")], {"tagged"}),
    ([("tag", "wor")], set()),
    ([("metadata[a]", "1")], {"labelled"}),
    ([("metadata[a]", "2")], set()),
    ([("metadata[b[c].d'\"9]", "x=y&z"), ("metadata[ü]", "é"), ("metadata[]", "nothing")], {"labelled"}),
    ([("metadata[a]", "1"), ("tag", "work")], set()),
    ([("state", "failed")], {"failed"}),
    ([("state", "in_progress"), ("model", "model of running")], {"running"}),
    ([("model", "model of failed")], {"failed"}),
    ([("model", "model of failed"), ("state", "completed")], set()),
    ([("created_before", str(AT))], {"old"}),
    ([("created_after", str(AT + 1))], {"new"}),
    ([("created_after", str(AT)), ("created_before", str(AT + 1))], EVERYTHING - {"old", "new"}),
    ([("updated_before", str(AT)), ("pinned", "false")], {"old"}),
    ([("updated_after", str(AT + 1))], {"new"}),
    ([("updated_after", "253402300799")], set()),
]


def test_filters_alone_and_together(shelf: dict[str, Conversation], listed: List) -> None:
    for query, expected in FILTERS:
        for order_by in ("updated_at", "created_at"):
            titles = listed.titles(urlencode([*query, ("limit", "100"), ("order_by", order_by)]))
            assert sorted(titles) == sorted(expected), query


REFUSED = [
    ("q=words", "q"),
    ("metadata=x", "metadata"),
    ("metadata[a=x", "metadata[a"),
    ("metadataa]=x", "metadataa]"),
    ("metadata[a]=1&metadata[a]=2", "metadata[a]"),
    (f"metadata[{'k' * 65}]=1", "metadata"),
    (f"metadata[k]={'v' * 513}", "metadata[k]"),
    ("&".join(f"metadata[{n}]=1" for n in range(17)), "metadata"),
    ("&".join(f"tag={n}" for n in range(21)), "tag"),
    ("tag=", "tag"),
    ("tag=" + "t" * 65, "tag"),
    ("tags=work", "tags"),
    ("user=%00", "user"),
    ("model=a%00", "model"),
    ("state=done", "state"),
    ("state=", "state"),
    ("pinned=1", "pinned"),
    ("archived=all", "archived"),
    ("deleted=any", "deleted"),
    ("order_by=title", "order_by"),
    ("order=up", "order"),
    ("limit=101", "limit"),
    ("created_after=-1", "created_after"),
    ("created_before=1.5", "created_before"),
    ("updated_after=253402300800", "updated_after"),
    ("updated_before=now", "updated_before"),
    ("updated_after[]=1", "updated_after[]"),
]


def test_a_wrong_parameter_is_named(listed: List) -> None:
    for query, param in REFUSED:
        assert listed.refusal(query) == (400, param), query


@pytest.mark.parametrize("query", ["%ED%A0%80=1", "tag=%ED%A0%80", "metadata[%ff]=%ff", "user=" + "x" * 9000])
def test_nothing_in_the_query_is_our_fault(query: str, listed: List) -> None:
    assert listed.get(query).status_code in (200, 400)


# --- rows -----------------------------------------------------------------------------------------


def test_a_row_shows_all_that_a_list_needs(alice: Person, listed: List) -> None:
    conversation = conversation_of(
        alice,
        title="Hello?",
        metadata={"topic": "demo"},
        tags=["a"],
        preview="Hello.",
        cost=180_000,
        end_user="xavier",
    )
    asked = add_message(conversation, "user", "Hello?")
    older = completion_of(alice, asked, state="in_progress")
    newer = completion_of(alice, asked, state="in_progress")
    last = completion_of(alice, asked)
    Completion.objects.filter(pk=last.pk).update(model="gpt-5")
    expected = {
        "id": conversation.public_id,
        "object": "conversation",
        "created_at": 1767268800,
        "updated_at": 1767268800,
        "deleted_at": None,
        "metadata": {"topic": "demo"},
        "tags": ["a"],
        "title": "Hello?",
        "pinned": False,
        "archived": False,
        "user": "xavier",
        "visibility": "private",
        "head_id": asked.public_id,
        "message_count": 1,
        "preview": "Hello.",
        "model": "gpt-5",
        "state": "completed",
        "running_completion_id": newer.public_id,
        "cost_usd": "0.00018",
    }

    [row] = listed.get().json()["data"]
    one = Client().get(f"/v1/conversations/{conversation.public_id}", headers=alice.headers).json()
    assert row == one
    assert {**row, "cost_usd": float(row["cost_usd"])} == {**expected, "cost_usd": 0.00018}

    for_xavier = List(token_for(alice, "xavier")).get().json()["data"][0]
    assert for_xavier == {key: value for key, value in row.items() if key != "cost_usd"}

    Completion.objects.filter(pk__in=[older.pk, newer.pk]).update(state="completed")
    Completion.objects.filter(pk=last.pk).update(conversation=None, prompt=None)  # it was deleted
    [row] = listed.get().json()["data"]
    assert (row["model"], row["state"], row["running_completion_id"]) == (None, None, None)
    assert listed.titles("model=gpt-5") == []


def test_what_was_not_said_yet_is_null(alice: Person, listed: List) -> None:
    conversation_of(alice)

    [row] = listed.get().json()["data"]
    nothing = ("title", "preview", "model", "state", "head_id", "running_completion_id", "user", "deleted_at")
    assert {name: row[name] for name in nothing} == dict.fromkeys(nothing)
    assert (row["message_count"], float(row["cost_usd"]), row["tags"], row["metadata"]) == (0, 0.0, [], {})


def test_what_a_stranger_labels_alike_is_another_label(alice: Person, charlie: Person) -> None:
    for who in (alice, charlie):
        conversation = conversation_of(who, tags=["work"], metadata={"a": "1"})
        replace_labels(conversation)

    labels = ConversationLabel.objects.values_list("digest", flat=True)
    assert len(set(labels)) == 4
    for who in (alice, charlie):
        assert len(List(who).titles("tag=work&metadata[a]=1")) == 1
