"""`GET /v1/organization/usage/completions`: what was used, by whom and when."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.roles import Role
from billing.models import Charge
from billing.units import Units
from billing.usage_report import UsageQuery, usage_sums
from core.ids import KEY, PROJECT, format_id, format_user_id
from tests.support.billed_months import create_wallet, day, frozen_clock, key_of, post, post_call, settle_call
from tests.support.people import Person, person, set_role, signed_in

USAGE = "/v1/organization/usage/completions"
LONG = Units(prompt=100, cached=20, completion=30, reasoning=5, audio_in=7, audio_out=11)

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(client: Client, alice: Person) -> Ask:
    """Return a function that gets usage, as Alice by default; it takes moments as `datetime`."""
    create_wallet(alice)

    def asked(who: Person = alice, **query: object) -> dict[str, Any]:
        written = {
            name: int(value.timestamp()) if isinstance(value, datetime) else value
            for name, value in query.items()
        }
        answer = client.get(USAGE, written, headers=who.headers)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        return page

    return asked


def results(page: dict[str, Any]) -> list[list[dict[str, Any]]]:
    return [bucket["results"] for bucket in page["data"]]


def requests(page: dict[str, Any]) -> list[int]:
    """Return the number of requests in each bucket."""
    return [sum(result["num_model_requests"] for result in bucket) for bucket in results(page)]


def test_a_day_in_openais_shape(ask: Ask, alice: Person) -> None:
    post_call(alice, day(3), LONG)

    page = ask(start_time=day(3, hour=0), end_time=day(4, hour=0))

    assert page == {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": int(day(3, hour=0).timestamp()),
                "end_time": int(day(4, hour=0).timestamp()),
                "results": [
                    {
                        "object": "organization.usage.completions.result",
                        "input_tokens": 127,
                        "output_tokens": 46,
                        "input_cached_tokens": 20,
                        "input_audio_tokens": 7,
                        "output_audio_tokens": 11,
                        "num_model_requests": 1,
                        "project_id": None,
                        "user_id": None,
                        "api_key_id": None,
                        "model": None,
                        "batch": None,
                    }
                ],
            }
        ],
        "has_more": False,
        "next_page": None,
    }


@pytest.mark.parametrize("width", ["1m", "1h", "1d"])
def test_usage_is_the_same_before_and_after_posting(width: str, ask: Ask, alice: Person) -> None:
    post_call(alice, day(3, hour=12, minute=5))
    settle_call(alice, day(3, hour=12, minute=5, second=59))
    query = {"start_time": day(3, minute=5), "end_time": day(3, minute=6), "bucket_width": width}

    before = ask(**query)
    post(day(4))

    assert requests(before) == [2]
    assert before == ask(**query)


def test_what_is_held_has_not_been_used_yet(ask: Ask, alice: Person) -> None:
    charge = settle_call(alice, day(3))

    assert requests(ask(start_time=day(3, hour=0), end_time=charge.ended_at)) == [1]
    assert requests(ask(start_time=day(4), end_time=day(5))) == [0, 0]


def test_buckets_are_aligned_to_the_clock_and_include_empty_ones(ask: Ask, alice: Person) -> None:
    post_call(alice, day(3, hour=10, minute=59, second=59))
    post_call(alice, day(3, hour=12))

    page = ask(start_time=day(3, hour=10, minute=30), end_time=day(3, hour=12, minute=1), bucket_width="1h")

    starts = [bucket["start_time"] for bucket in page["data"]]
    assert starts == [int(day(3, hour=hour).timestamp()) for hour in (10, 11, 12)]
    assert requests(page) == [1, 0, 1]
    assert results(page)[1] == []


def test_the_end_is_exclusive(ask: Ask, alice: Person) -> None:
    post_call(alice, day(4, hour=0))

    assert requests(ask(start_time=day(3, hour=0), end_time=day(4, hour=0))) == [0]


def test_without_an_end_the_range_lasts_until_now(ask: Ask, alice: Person) -> None:
    post_call(alice, day(5))

    with frozen_clock(day(5)):
        assert requests(ask(start_time=day(3))) == [0, 0, 1]
        assert requests(ask(start_time=day(3), end_time=day(20))) == [0, 0, 1]
        assert ask(start_time=day(6)) == {"object": "page", "data": [], "has_more": False, "next_page": None}


def test_pages_follow_each_other_to_the_end(ask: Ask, alice: Person) -> None:
    for number in (2, 5, 9):
        post_call(alice, day(number))
    query = {"start_time": day(2), "end_time": day(11), "limit": 4}

    pages = [ask(**query)]
    while pages[-1]["has_more"]:
        pages.append(ask(**query, page=pages[-1]["next_page"]))

    assert [requests(page) for page in pages] == [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0]]
    assert pages[-1]["next_page"] is None
    assert pages[1] == ask(**query, page=pages[0]["next_page"])


@pytest.mark.parametrize(("width", "buckets"), [("1m", 60), ("1h", 24), ("1d", 7)])
def test_a_page_has_openais_default_length(width: str, buckets: int, ask: Ask) -> None:
    page = ask(start_time=day(1), end_time=day(28), bucket_width=width)

    assert len(page["data"]) == buckets
    assert page["has_more"]


@pytest.fixture
def shared(ask: Ask, alice: Person, bob: Person) -> None:
    """Calls of two people to two models; Alice makes one of hers in her browser."""
    post_call(alice, day(3), model="gpt")
    post_call(alice, day(3), model="gpt-mini")
    post_call(bob, day(3), model="gpt")
    settle_call(alice, day(3), by_key=False)
    post(day(3))


THIRD = {"start_time": day(3), "end_time": day(4, hour=0)}


@pytest.mark.usefixtures("shared")
def test_groups(ask: Ask, alice: Person, bob: Person) -> None:
    def grouped(*names: str) -> list[tuple[object, ...]]:
        [bucket] = results(ask(**THIRD, group_by=list(names)))
        return [tuple(result[name] for name in (*names, "num_model_requests")) for result in bucket]

    users = {format_user_id(alice.user.pk): 2, format_user_id(bob.user.pk): 1}
    assert dict(grouped("user_id")) == users  # type: ignore[arg-type]
    assert grouped("project_id") == [(format_id(PROJECT, alice.workspace.id), 3)]
    keys = {format_id(KEY, key_of(alice)): 2, format_id(KEY, key_of(bob)): 1}
    assert dict(grouped("api_key_id")) == keys  # type: ignore[arg-type]
    assert grouped("batch") == [(False, 3)]
    assert sum(number for *_, number in grouped("model", "user_id")) == 3  # type: ignore[misc]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    "query",
    ["group_by=model,user_id", "group_by[]=model&group_by[]=user_id", "group_by=model&group_by=user_id"],
)
def test_arrays_come_in_every_form(query: str, client: Client, alice: Person) -> None:
    start, end = (int(moment.timestamp()) for moment in THIRD.values())
    answer = client.get(f"{USAGE}?start_time={start}&end_time={end}&{query}", headers=alice.headers)

    [bucket] = results(answer.json())
    assert len(bucket) == 3


@pytest.mark.usefixtures("shared")
def test_filters(ask: Ask, alice: Person, bob: Person, charlie: Person) -> None:
    def count(**query: object) -> int:
        [number] = requests(ask(**THIRD, **query))
        return number

    assert count(models=["gpt-mini", "unknown"]) == 1
    assert count(models="gpt,gpt-mini") == 3
    assert count(models="'; DROP TABLE billing_charge; --") == 0
    assert count(user_ids=format_user_id(bob.user.pk)) == 1
    assert count(api_key_ids=format_id(KEY, key_of(alice))) == 2
    assert count(api_key_ids=format_id(KEY, key_of(charlie))) == 0
    assert count(project_ids=format_id(PROJECT, alice.workspace.id)) == 3
    assert count(project_ids=format_id(PROJECT, charlie.workspace.id)) == 0
    assert count(batch="true") == 0
    assert count(batch="false", models="gpt", user_ids=format_user_id(alice.user.pk)) == 1


@pytest.mark.usefixtures("shared")
def test_a_workspace_sees_only_its_own_usage(ask: Ask, client: Client, bob: Person, charlie: Person) -> None:
    create_wallet(charlie)
    post_call(charlie, day(3), LONG)

    set_role(bob, Role.ADMIN)
    assert requests(ask(bob, **THIRD)) == [3]
    assert requests(ask(charlie, **THIRD)) == [1]
    assert client.get(USAGE, {"start_time": 0}).status_code == 401


@pytest.mark.usefixtures("shared")
def test_keys_see_what_keys_used_managers_all_and_members_their_own(
    ask: Ask, alice: Person, bob: Person
) -> None:
    settle_call(bob, day(3), by_key=False)
    settle_call(bob, day(3), by_key=False)

    assert requests(ask(alice, **THIRD)) == [3]
    assert requests(ask(bob, **THIRD)) == [1], "a member's key sees its own"
    assert requests(in_session(alice)) == [6]
    assert requests(in_session(bob)) == [2]


def in_session(who: Person) -> dict[str, Any]:
    """Ask for the usage of Alice's workspace in a browser."""
    query = {name: int(moment.timestamp()) for name, moment in THIRD.items()}
    headers = {"X-Workspace-Id": format_id(PROJECT, who.workspace.id)}
    page: dict[str, Any] = signed_in(who.user).get(USAGE, query, headers=headers).json()
    return page


def test_speech_is_not_a_completion(ask: Ask, alice: Person) -> None:
    settle_call(alice, day(3), Units(characters=100), model="tts", kind="speech")
    post(day(3))

    assert results(ask(**THIRD)) == [[]]


def test_a_week_of_hours_takes_two_queries(
    ask: Ask, alice: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(1, 8):
        post_call(alice, day(number))
    authentication = 1

    with django_assert_num_queries(authentication + 2):
        page = ask(start_time=day(1, hour=0), end_time=day(8), bucket_width="1h", limit=168)

    assert (len(page["data"]), sum(requests(page))) == (168, 7)


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("", "start_time", "missing_required_parameter"),
        ("start_time=", "start_time", "invalid_type"),
        ("start_time=NaN", "start_time", "invalid_type"),
        ("start_time=1.5", "start_time", "invalid_type"),
        ("start_time=1e9", "start_time", "invalid_type"),
        ("start_time=%00", "start_time", "invalid_type"),
        ("start_time=-1", "start_time", "integer_below_min_value"),
        ("start_time=99999999999999999999", "start_time", "integer_above_max_value"),
        ("start_time=" + "9" * 5000, "start_time", "invalid_type"),
        ("start_time=0&end_time=-9", "end_time", "integer_below_min_value"),
        ("start_time=0&end_time=253402300800", "end_time", "integer_above_max_value"),
        ("start_time=9&end_time=9", "end_time", "invalid_value"),
        ("start_time=9&end_time=8", "end_time", "invalid_value"),
        ("start_time=0&bucket_width=1w", "bucket_width", "invalid_value"),
        ("start_time=0&group_by=line_item", "group_by", "invalid_value"),
        ("start_time=0&group_by[]=model&group_by[]=id", "group_by", "invalid_value"),
        ("start_time=0&limit=0", "limit", "integer_below_min_value"),
        ("start_time=0&limit=32", "limit", "integer_above_max_value"),
        ("start_time=0&bucket_width=1h&limit=169", "limit", "integer_above_max_value"),
        ("start_time=0&bucket_width=1m&limit=1441", "limit", "integer_above_max_value"),
        ("start_time=0&limit=ten", "limit", "invalid_type"),
        ("start_time=0&page=", "page", "invalid_value"),
        ("start_time=0&page=2", "page", "invalid_value"),
        ("start_time=0&page=page_%C3%A9", "page", "invalid_value"),
        ("start_time=0&page=page_AAAAAAAAAAA", "page", "invalid_value"),
        ("start_time=0&page=page_AAAAAAAAAAE", "page", "invalid_value"),
        ("start_time=0&page=page___________8", "page", "invalid_value"),
        ("start_time=0&page=" + "A" * 5000, "page", "invalid_value"),
        ("start_time=0&models=a%00b", "models", "invalid_value"),
        ("start_time=0&models=" + ",".join(map(str, range(101))), "models", "array_above_max_length"),
        ("start_time=0&user_ids=alice", "user_ids", "invalid_value"),
        ("start_time=0&user_ids=user-" + "9" * 30, "user_ids", "invalid_value"),
        ("start_time=0&user_ids=user-%D9%A3", "user_ids", "invalid_value"),
        ("start_time=0&api_key_ids=sk-secret", "api_key_ids", "invalid_value"),
        ("start_time=0&project_ids=proj_", "project_ids", "invalid_value"),
        ("start_time=0&batch=maybe", "batch", "invalid_value"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, param: str, code: str, alice: Person, client: Client) -> None:
    answer = client.get(f"{USAGE}?{query}", headers=alice.headers)

    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


def test_a_cursor_belongs_to_its_query(ask: Ask, alice: Person, client: Client) -> None:
    page = ask(start_time=day(2), end_time=day(28))["next_page"]
    other = {"start_time": int(day(20).timestamp()), "page": page}

    assert client.get(USAGE, other, headers=alice.headers).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_charge_posted_during_the_read_counts_once(client: Client) -> None:
    alice = person("alice@example.com")
    create_wallet(alice)
    charge = settle_call(alice, day(3))
    start = int(day(3, hour=0).timestamp())
    seconds = UsageQuery(alice.workspace.id, 86_400, range(start, start + 1))

    with connection.execute_wrapper(posting_before_charges_are_read):
        [found] = usage_sums(seconds)[start]

    assert Charge.objects.get(pk=charge.pk).state == "posted"
    assert found.requests == 1


def posting_before_charges_are_read(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
    """Let a worker post on its own connection between a reader's two queries, of which this is the second."""
    if 'FROM "billing_charge"' in sql:
        with ThreadPoolExecutor(1) as worker:
            worker.submit(post_and_leave).result()
    return execute(sql, *more)


def post_and_leave() -> None:
    post(day(4))
    connection.close()
