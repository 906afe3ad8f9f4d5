import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tests.support.history_rows import add_message, conversation_of, create_exchange
from tests.support.people import Person

AUTHENTICATION = 1


@pytest.fixture
def five(alice: Person) -> list[str]:
    return [conversation_of(alice).public_id for _ in range(5)]


def test_pages_follow_each_other_to_the_end(five: list[str], alice: Person, client: Client) -> None:
    seen: list[str] = []
    page = client.get("/v1/conversations?limit=2", headers=alice.headers).json()
    while page["has_more"]:
        seen += [row["id"] for row in page["data"]]
        assert page["first_id"] == page["data"][0]["id"]
        after = page["last_id"]
        page = client.get(f"/v1/conversations?limit=2&after={after}", headers=alice.headers).json()
    seen += [row["id"] for row in page["data"]]

    assert seen == five[::-1]


def test_the_order_can_be_reversed(five: list[str], alice: Person, client: Client) -> None:
    query = f"/v1/conversations?order=asc&after={five[1]}"
    page = client.get(query, headers=alice.headers).json()

    assert [row["id"] for row in page["data"]] == five[2:]


def test_an_empty_list(alice: Person, client: Client) -> None:
    page = client.get("/v1/conversations", headers=alice.headers).json()

    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=-1", "limit", "integer_below_min_value"),
        ("limit=101", "limit", "integer_above_max_value"),
        ("limit=many", "limit", "invalid_type"),
        ("limit=", "limit", "invalid_type"),
        ("limit=٣", "limit", "invalid_type"),
        ("limit=" + "9" * 5000, "limit", "invalid_type"),
        ("order=up", "order", "invalid_value"),
        ("after=x", "after", "invalid_value"),
        ("after=conv_" + "0" * 32, "after", "invalid_value"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, param: str, code: str, alice: Person, client: Client) -> None:
    conversation = create_exchange(alice).stored_conversation.public_id
    for route in ("/v1/conversations", f"/v1/conversations/{conversation}/items"):
        answer = client.get(f"{route}?{query}", headers=alice.headers)

        assert answer.status_code == 400
        assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


def test_a_page_cannot_start_after_a_strangers_id(alice: Person, charlie: Person, client: Client) -> None:
    foreign = conversation_of(charlie).public_id

    assert client.get(f"/v1/conversations?after={foreign}", headers=alice.headers).status_code == 400


def test_a_long_list_costs_one_query_and_reads_no_messages(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(30):
        create_exchange(alice)

    with django_assert_num_queries(AUTHENTICATION + 1) as queries:
        page = client.get("/v1/conversations?limit=25", headers=alice.headers).json()

    assert len(page["data"]) == 25
    assert not any("conversations_message" in query["sql"] for query in queries.captured_queries)


def test_a_conversation(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice, title="Hello?", metadata={"topic": "demo"})
    head = add_message(conversation, "user", "Hello?")

    shown = client.get(f"/v1/conversations/{conversation.public_id}", headers=alice.headers).json()

    assert shown == {
        "id": conversation.public_id,
        "object": "conversation",
        "created_at": 1767268800,
        "updated_at": 1767268800,
        "metadata": {"topic": "demo"},
        "title": "Hello?",
        "head_id": head.public_id,
        "user": None,
        "visibility": "private",
    }
