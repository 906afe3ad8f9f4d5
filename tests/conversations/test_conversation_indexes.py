"""Each list of conversations follows an index: it reads no rows of others, however many there are."""

import pytest
from django.db import connection

from accounts.keys.validation import principal_of_secret
from accounts.ownership import ways_of_seeing
from accounts.permissions import permissions_in_session
from accounts.principal import Principal
from accounts.roles import Role
from conversations.lists import ConversationFilters, conversation_page
from conversations.models import Conversation
from core.bulk_sql import insert_rows
from core.ids import new_id
from core.pagination import PageRequest
from tests.support.history_rows import NOON, conversation_of
from tests.support.people import Person, person, token_for
from tests.support.query_plans import explained, sent_queries

OF_KEYS, OF_END_USER = "conversation_of_keys", "conversation_of_end_user"
OF_MEMBER, SHARED, ALL = "conversation_of_member", "conversation_shared", "conversation_page"
WIDE = {OF_KEYS: ALL}
"""In the order of creation, what keys made is read from all of the workspace: most of it is theirs."""

INDEXES = {
    "token": [OF_END_USER],
    "key": [OF_KEYS],
    "member": [OF_MEMBER, SHARED],
    "owner": [OF_MEMBER, SHARED, OF_KEYS],
}


@pytest.fixture
def callers(alice: Person) -> dict[str, Principal]:
    bob = person("bob@example.com", alice.workspace)
    return {
        "token": principal_of_secret(token_for(alice, "xavier")),
        "key": principal_of_secret(alice.key),
        "member": _in_session(bob, Role.MEMBER),
        "owner": _in_session(alice, Role.OWNER),
    }


def _in_session(who: Person, role: Role) -> Principal:
    return Principal(who.workspace.pk, who.user.pk, permissions=permissions_in_session(role))


def plans(who: Principal, order_by: str) -> list[str]:
    """Return how the database runs each query of a page, as it is really sent."""
    with sent_queries() as sent:
        conversation_page(who, PageRequest(), ConversationFilters(), order_by)  # type: ignore[arg-type]
    return [explained(query) for query in sent if query[0].startswith("SELECT")]


@pytest.mark.parametrize("caller", INDEXES)
@pytest.mark.parametrize("order_by", ["updated_at", "created_at"])
def test_each_way_of_seeing_has_its_index(caller: str, order_by: str, callers: dict[str, Principal]) -> None:
    if connection.vendor == "postgresql":  # which reads a small table whole, unless it may not
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
    expected = [WIDE.get(name, name) if order_by == "created_at" else name for name in INDEXES[caller]]
    if connection.vendor == "postgresql" and order_by == "created_at":
        expected = [ALL for _ in expected]  # which weighs what it has counted, and here that is nothing

    ways = plans(callers[caller], order_by)

    assert len(ways) == len(ways_of_seeing(callers[caller])) == len(expected)
    for plan, index in zip(ways, expected, strict=True):
        assert index in plan, plan
        assert ("TEMP B-TREE" in plan) is False, plan


@pytest.mark.long
@pytest.mark.parametrize("caller", INDEXES)
def test_among_50_000_rows_of_others_the_index_is_chosen(
    caller: str, alice: Person, callers: dict[str, Principal]
) -> None:
    others = [person(f"other{number}@example.com", alice.workspace) for number in range(5)]
    common = {"workspace": alice.workspace.pk, "scope": "scope", "created_at": NOON, "updated_at": NOON}
    insert_rows(
        Conversation,
        [
            {"id": new_id(), "user": others[number % 5].user.pk, "api_key": None, "end_user": "", **common}
            if number % 2
            else {
                "id": new_id(),
                "user": None,
                "api_key": alice.key_id,
                "end_user": f"{number % 5000}",
                **common,
            }
            for number in range(50_000)
        ],
    )
    who = callers[caller]
    for columns in ({"end_user": "xavier"}, {"api_key_id": None, "user_id": who.user_id}):
        conversation_of(alice, **columns)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

    for plan, index in zip(plans(who, "updated_at"), INDEXES[caller], strict=True):
        assert index in plan, plan
    for plan, index in zip(plans(who, "created_at"), INDEXES[caller], strict=True):
        assert index in plan or (index in WIDE and "Sort" not in plan and "TEMP" not in plan), plan
