"""`GET /v1/organization/costs`: what usage cost, digit for digit."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.roles import Role
from billing.models import Charge
from billing.units import Units
from core.ids import KEY, PROJECT, format_id, format_user_id, new_id
from tests.support.billed_months import (
    SHORT_COST,
    USD,
    create_wallet,
    day,
    key_of,
    post,
    post_call,
    settle_call,
)
from tests.support.people import Person, set_role

COSTS = "/v1/organization/costs"

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(client: Client, alice: Person) -> Ask:
    """Return a function that gets the costs of January 3, as Alice by default, with exact amounts."""
    create_wallet(alice)

    def get_costs(who: Person = alice, **query: object) -> dict[str, Any]:
        parameters = {"start_time": day(3), "end_time": day(4, hour=0), **query}
        written = {
            name: int(value.timestamp()) if isinstance(value, datetime) else value
            for name, value in parameters.items()
        }
        answer = client.get(COSTS, written, headers=who.headers)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        assert answer["content-type"] == "application/json"
        page: dict[str, Any] = json.loads(answer.content, parse_float=Decimal)
        return page

    return get_costs


def results(page: dict[str, Any]) -> list[dict[str, Any]]:
    [bucket] = page["data"]
    rows: list[dict[str, Any]] = bucket["results"]
    return rows


def copy_charge(charge: Charge, **columns: object) -> None:
    """Create a copy of this charge with these columns changed."""
    same = {field.name: getattr(charge, field.name) for field in charge._meta.concrete_fields}
    Charge.objects.create(**{**same, "id": new_id(), **columns})


def test_a_day_in_openais_shape(ask: Ask, alice: Person) -> None:
    post_call(alice, day(3))

    page = ask()

    assert (page["object"], page["has_more"], page["next_page"]) == ("page", False, None)
    assert page["data"][0]["object"] == "bucket"
    assert results(page) == [
        {
            "object": "organization.costs.result",
            "amount": {"value": Decimal("0.000023"), "currency": "usd"},
            "line_item": None,
            "project_id": None,
            "user_id": None,
            "api_key_id": None,
            "unpriced_requests": 0,
        }
    ]


@pytest.mark.parametrize(
    ("nano", "written"),
    [
        (1, b'"value":0.000000001,'),
        (USD + 1, b'"value":1.000000001,'),
        (9_007_199_254_740_993, b'"value":9007199.254740993,'),
        (123_456_789_123_456_789, b'"value":123456789.123456789,'),
        (0, b'"value":0.00,'),
    ],
)
def test_an_amount_arrives_digit_for_digit(nano: int, written: bytes, alice: Person, client: Client) -> None:
    create_wallet(alice)
    copy_charge(settle_call(alice, day(3), Units()), cost=nano)

    start, end = int(day(3).timestamp()), int(day(4, hour=0).timestamp())
    answer = client.get(COSTS, {"start_time": start, "end_time": end}, headers=alice.headers)

    assert written in answer.content


def test_costs_are_the_same_before_and_after_posting(ask: Ask, alice: Person) -> None:
    settle_call(alice, day(3))
    settle_call(alice, day(3))

    before = ask()
    post(day(4))

    assert results(before)[0]["amount"]["value"] == Decimal(2 * SHORT_COST) / USD
    assert before == ask()


def test_groups_and_filters(ask: Ask, alice: Person, bob: Person) -> None:
    post_call(alice, day(3))
    post_call(bob, day(3), Units(prompt=1))
    settle_call(alice, day(3), Units(completion=1), model="tts", kind="speech")

    def costs(**query: object) -> dict[Any, int]:
        group = str(query.get("group_by", "line_item"))
        return {row[group]: int(row["amount"]["value"] * USD) for row in results(ask(**query))}

    assert costs(group_by="line_item") == {"gpt, completion": SHORT_COST + 1000, "tts, speech": 10_000}
    assert costs(group_by="project_id") == {format_id(PROJECT, alice.workspace.id): SHORT_COST + 11_000}
    assert costs(group_by="user_id") == {
        format_user_id(alice.user.pk): SHORT_COST + 10_000,
        format_user_id(bob.user.pk): 1000,
    }
    assert costs(group_by="api_key_id", api_key_ids=format_id(KEY, key_of(bob))) == {
        format_id(KEY, key_of(bob)): 1000
    }
    assert costs(line_items="tts, speech") == {None: 10_000}
    assert costs(line_items=["tts, speech", "gpt, completion"]) == {None: SHORT_COST + 11_000}
    assert costs(line_items="gpt") == {}


def test_a_workspace_sees_only_its_own_costs(
    ask: Ask, alice: Person, bob: Person, charlie: Person, client: Client
) -> None:
    post_call(alice, day(3))

    set_role(bob, Role.ADMIN)
    assert results(ask(bob)) == results(ask(alice)) != []
    assert results(ask(charlie)) == []
    assert client.get(COSTS, {"start_time": 0}).status_code == 401


def test_unpriced_requests_are_counted(ask: Ask, alice: Person) -> None:
    copy_charge(settle_call(alice, day(3)), price_id=None, cost=None)

    [row] = results(ask())

    assert (row["amount"]["value"], row["unpriced_requests"]) == (Decimal("0.000023"), 1)


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("", "start_time", "missing_required_parameter"),
        ("start_time=9&end_time=8", "end_time", "invalid_value"),
        ("start_time=0&bucket_width=1h", "bucket_width", "invalid_value"),
        ("start_time=0&limit=181", "limit", "integer_above_max_value"),
        ("start_time=0&group_by=model", "group_by", "invalid_value"),
        ("start_time=0&page=x", "page", "invalid_value"),
        ("start_time=0&line_items=%00", "line_items", "invalid_value"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, param: str, code: str, alice: Person, client: Client) -> None:
    answer = client.get(f"{COSTS}?{query}", headers=alice.headers)

    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)
