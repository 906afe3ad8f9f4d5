"""Which items are listed: the branch that is shown, another one, or all; and how pages follow each other."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.branches import places_of
from conversations.models import Message
from engines.messages import ReasoningPart, ToolCall
from tests.support.history_rows import add_message, completion_of, conversation_of
from tests.support.item_requests import item_page, items_path, listed, refusal, words_of
from tests.support.people import Person

QUERIES = 8
"""The caller, the conversation, answers being made, the branch, its messages, feedback, and their places."""


class Tree:
    """A question with two answers; the second one was followed up, then the first, which is shown."""

    def __init__(self, who: Person) -> None:
        self.conversation = conversation = conversation_of(who)
        self.question = add_message(conversation, "user", "Q")
        self.first = add_message(conversation, "assistant", "A", after=self.question)
        self.second = add_message(conversation, "assistant", "B", after=self.question)
        self.after_second = add_message(conversation, "user", "B?", after=self.second)
        self.after_first = add_message(conversation, "user", "A?", after=self.first)


@pytest.fixture
def tree(alice: Person) -> Tree:
    return Tree(alice)


def words(client: Client, alice: Person, tree: Tree, query: str = "") -> str:
    return " ".join(words_of(listed(client, alice, tree.conversation, f"order=asc&{query}")))


def test_the_branch_that_is_shown_leads_to_the_head(tree: Tree, alice: Person, client: Client) -> None:
    assert words(client, alice, tree) == "Q A A?"
    assert words_of(listed(client, alice, tree.conversation, "")) == ["A?", "A", "Q"]


def test_another_branch_is_named_by_any_message_of_it(tree: Tree, alice: Person, client: Client) -> None:
    assert words(client, alice, tree, f"branch={tree.second.public_id}") == "Q B B?"
    assert words(client, alice, tree, f"branch={tree.after_second.public_id}") == "Q B B?"
    assert words(client, alice, tree, f"branch={tree.question.public_id}") == "Q A A?", "the newest"


def test_a_leaf_is_where_a_branch_ends(tree: Tree, alice: Person, client: Client) -> None:
    assert words(client, alice, tree, f"leaf={tree.second.public_id}") == "Q B"
    assert words(client, alice, tree, f"leaf={tree.question.public_id}") == "Q"


def test_all_branches_are_in_the_order_in_which_messages_came(
    tree: Tree, alice: Person, client: Client
) -> None:
    rows = listed(client, alice, tree.conversation, "order=asc&branch=all")

    assert words_of(rows) == ["Q", "A", "B", "B?", "A?"]
    beside = [tree.first.public_id, tree.second.public_id]
    assert [row["siblings"] for row in rows] == [
        [tree.question.public_id],
        beside,
        beside,
        [tree.after_second.public_id],
        [tree.after_first.public_id],
    ]


def test_any_item_of_a_message_names_it(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)
    message = add_message(conversation, "assistant", ReasoningPart("Hm"), ToolCall("c", "f", "{}"))

    rows = listed(client, alice, conversation, f"leaf=fc_{message.id.hex}")

    assert [row["type"] for row in rows] == ["function_call", "reasoning"]


def empty(message: Message) -> None:
    Message.objects.filter(pk=message.pk).update(parts=(), emptied_at=datetime.now(UTC))


def test_what_follows_a_deleted_message_stands_where_it_stood(
    tree: Tree, alice: Person, client: Client
) -> None:
    third = add_message(tree.conversation, "user", "C?", after=tree.second)
    empty(tree.second)
    empty(tree.after_second)

    rows = listed(client, alice, tree.conversation, "order=asc")

    assert words_of(rows) == ["Q", "C?"]
    assert rows[1]["parent_id"] == tree.question.public_id
    assert rows[1]["siblings"] == [tree.first.public_id, third.public_id]
    assert words(client, alice, tree, "branch=all") == "Q A A? C?"


def test_where_a_beginning_was_deleted_others_begin(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)
    gone, other = add_message(conversation, "user", "1"), add_message(conversation, "user", "2")
    left = add_message(conversation, "assistant", "3", after=gone)
    empty(gone)

    [row] = listed(client, alice, conversation)

    assert (row["parent_id"], row["siblings"]) == (None, [other.public_id, left.public_id])


def test_of_very_many_siblings_the_hundred_around_are_named(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)
    beside = [Message(conversation=conversation, role="user", parts=()) for _ in range(150)]  # type: ignore[misc]
    ids = [message.public_id for message in Message.objects.bulk_create(beside)]

    for place, around in ((0, ids[:100]), (75, ids[25:125]), (149, ids[50:])):
        answer = client.get(items_path(conversation, ids[place]), headers=alice.headers)
        assert answer.json()["siblings"] == around


def test_of_very_many_siblings_deleted_ones_are_left_out_and_ones_being_made_are_named(alice: Person) -> None:
    conversation = conversation_of(alice)
    gone = add_message(conversation, "user", "gone")
    rows = [Message(conversation=conversation, role="user", parts=()) for _ in range(1000)]  # type: ignore[misc]
    after = [
        Message(conversation=conversation, role="user", parts=(), parent=gone)  # type: ignore[misc]
        for _ in range(300)
    ]
    Message.objects.bulk_create([*rows, *after])
    empty(gone)
    empty(rows[500])
    beside = [row.pk for row in (*rows, *after) if row is not rows[500]]
    making = Message(conversation=conversation, role="user", parts=())  # type: ignore[misc]

    places = places_of(conversation.pk, [rows[0], rows[499], after[0], making], [making])

    assert {place.parent_id for place in places.values()} == {None}
    assert list(places[rows[0].pk].siblings) == beside[:100]
    assert list(places[rows[499].pk].siblings) == beside[449:549]
    assert list(places[after[0].pk].siblings) == beside[949:1049]
    assert list(places[making.pk].siblings) == [*beside[-99:], making.pk]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("branch", ["", "branch=all", "leaf={leaf}"])
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_follow_each_other_item_by_item(
    order: str, branch: str, limit: int, alice: Person, client: Client
) -> None:
    conversation, message = conversation_of(alice), None
    for _ in range(3):
        message = add_message(conversation, "user", "Q", after=message)
        calls = [ToolCall(f"call_{number}", "f", "{}") for number in range(3)]
        message = add_message(conversation, "assistant", ReasoningPart("R"), "A", *calls, after=message)
    assert message is not None
    query = f"order={order}&{branch.format(leaf=message.public_id)}"
    whole = [row["id"] for row in listed(client, alice, conversation, f"limit=100&{query}")]

    seen: list[str] = []
    page = item_page(client, alice, conversation, f"limit={limit}&{query}")
    while page["has_more"]:
        assert len(page["data"]) == limit
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        seen += [row["id"] for row in page["data"]]
        page = item_page(client, alice, conversation, f"limit={limit}&{query}&after={page['last_id']}")
    seen += [row["id"] for row in page["data"]]

    assert len(whole) == 18
    assert seen == whole


def test_an_empty_conversation_has_no_items(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)

    for query in ("", "branch=all"):
        page = item_page(client, alice, conversation, query)
        assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_a_page_cannot_start_after_what_is_not_in_the_list(tree: Tree, alice: Person, client: Client) -> None:
    other, deleted = Tree(alice), add_message(tree.conversation, "user", "C?", after=tree.after_first)
    empty(deleted)
    wrong = {
        "": [other.question.public_id, tree.second.public_id, deleted.public_id, "msg_x", "x", "conv_"],
        "branch=all": [other.question.public_id, deleted.public_id, "msg_" + "0" * 32],
    }

    for query, ids in wrong.items():
        for id in [*ids, f"rs_{tree.first.id.hex}", f"fc_{tree.first.id.hex}"]:
            address = f"{items_path(tree.conversation)}?{query}&after={id}"
            answer = client.get(address, headers=alice.headers)
            assert refusal(answer) == (400, "invalid_value", "after"), id


def test_a_branch_of_an_unknown_message_is_not_found(tree: Tree, alice: Person, client: Client) -> None:
    other = Tree(alice)
    empty(tree.after_second)

    for param in ("branch", "leaf"):
        for id in (other.first.public_id, tree.after_second.public_id, "msg_" + "0" * 32, "x", "%00", "ALL"):
            address = f"{items_path(tree.conversation)}?{param}={id}"
            answer = client.get(address, headers=alice.headers)
            assert refusal(answer) == (404, "not_found", param), id


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("branch=all&leaf=x", "invalid_value", "leaf"),
        ("brnch=all", "unsupported_parameter", "brnch"),
        ("limit=0", "integer_below_min_value", "limit"),
        ("order=up", "invalid_value", "order"),
        ("after=%ff%00", "invalid_value", "after"),
    ],
)
def test_a_wrong_parameter_is_named(
    query: str, code: str, param: str, tree: Tree, alice: Person, client: Client
) -> None:
    answer = client.get(f"{items_path(tree.conversation)}?{query}", headers=alice.headers)

    assert refusal(answer) == (400, code, param)


def test_openais_include_is_known(tree: Tree, alice: Person, client: Client) -> None:
    query = "include=message.output_text.logprobs&include[]=reasoning.encrypted_content"

    assert words(client, alice, tree, query) == "Q A A?"


@pytest.mark.parametrize("messages", [2, 50])
@pytest.mark.parametrize("query", ["", "branch=all", "branch={leaf}", "leaf={leaf}"])
def test_a_page_costs_as_many_queries_for_many_messages_as_for_few(
    messages: int,
    query: str,
    alice: Person,
    client: Client,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    conversation, leaf = conversation_of(alice), None
    for number in range(messages // 2):
        asked = add_message(conversation, "user", str(number), after=leaf)
        made: Any = {"completion": completion_of(alice, asked), "choice": 0}
        leaf = add_message(conversation, "assistant", str(number), after=asked, **made)
    assert leaf is not None
    address = f"{items_path(conversation)}?limit=20&{query.format(leaf=leaf.public_id)}"
    branch = 1 if query.startswith("branch={") else 0

    with django_assert_num_queries(QUERIES + branch):
        page = client.get(address, headers=alice.headers).json()

    assert len(page["data"]) == min(messages, 20)


def test_a_page_reads_only_the_messages_it_may_show(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    conversation, message = conversation_of(alice), None
    for number in range(50):
        message = add_message(conversation, "user", str(number), after=message)

    with django_assert_num_queries(QUERIES - 1) as queries:
        page = item_page(client, alice, conversation, "limit=3")

    assert words_of(page["data"]) == ["49", "48", "47"]
    [read] = [query["sql"] for query in queries.captured_queries if '"parts"' in query["sql"]]
    assert read.count(conversation.id.hex) == 1
    assert read.partition(" IN (")[2].partition(")")[0].count(",") == 3
