import pytest
from django.test import Client

from tests.support.history_rows import conversation_of, create_exchange
from tests.support.people import Person

AUTHENTICATION = 1


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
