"""The chart of usage: what each day cost, by model, and the same numbers as a table."""

import re
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from billing.admin.usage_chart import HEIGHT, OTHERS
from billing.models import UsageRollup
from billing.prices import add_price
from billing.rollups import Group
from core.money import NANO_PER_USD
from tests.support.billed_months import frozen_clock
from tests.support.billing_admin import Answer, charge_call, list_url
from tests.support.media_admin import staff, superuser
from tests.support.people import Person
from tests.support.priced_usage import add_credit


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


def record_usage(workspace_id: UUID, day: date, model: str, *, width: str = "day", **counts: int) -> None:
    """Create a row of usage as posting does."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    group = Group(width, midnight, workspace_id, None, None, model, "completion")
    UsageRollup.objects.create(id=uuid4(), **group._asdict(), **counts)


def chart(client: Client, **query: object) -> Answer:
    answer = client.get(list_url("usagerollup", **query))
    assert answer.status_code == 200
    return answer


def table(text: str) -> list[list[str]]:
    """Return the rows of the first table: the day, its sum, and a value per model."""
    body = re.search(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL) if body else []
    return [re.findall(r">([^<>]+)</t[hd]>", row) for row in rows]


def heights(text: str) -> list[int]:
    return [int(height) for height in re.findall(r'height="(\d+)" fill="#\w+"><title>', text)]


def test_days_and_models_are_bars_and_rows(operator: Client, alice: Person, charlie: Person) -> None:
    mine, other = alice.workspace.id, charlie.workspace.id
    record_usage(
        mine, date(2026, 3, 1), "gpt-4o", cost=3 * NANO_PER_USD, requests=4, prompt=1000, completion=234
    )
    record_usage(mine, date(2026, 3, 1), "qwen", cost=NANO_PER_USD, requests=1)
    record_usage(mine, date(2026, 3, 3), "gpt-4o", cost=2 * NANO_PER_USD, requests=1)
    record_usage(mine, date(2026, 3, 3), "gpt-4o", width="hour", cost=99 * NANO_PER_USD)
    record_usage(other, date(2026, 3, 3), "qwen", cost=6 * NANO_PER_USD, unpriced=2, requests=2)
    record_usage(other, date(2026, 3, 5), "qwen", cost=6 * NANO_PER_USD)
    march = {"first": "2026-03-01", "last": "2026-03-04"}

    text = chart(operator, **march).text
    assert table(text) == [["2026-03-03", "8.00", "6.00", "2.00"], ["2026-03-01", "4.00", "1.00", "3.00"]]
    assert heights(text) == [HEIGHT // 8, HEIGHT * 3 // 8, HEIGHT * 6 // 8, HEIGHT * 2 // 8]
    assert "2026-03-01: gpt-4o, 3.00 USD" in text
    assert "charlie@example.com&#x27;s workspace</a>" in text

    text = chart(operator, workspace=str(mine), **march).text
    assert table(text) == [["2026-03-03", "2.00", "2.00", "0.00"], ["2026-03-01", "4.00", "3.00", "1.00"]]
    assert "<strong>alice@example.com&#x27;s workspace</strong>" in text
    assert "charlie" not in text

    assert table(chart(operator, show="tokens", workspace="alice@example.com", **march).text)[1] == [
        "2026-03-01",
        "1,234",
        "1,234",
        "0",
    ]
    assert table(chart(operator, show="requests", workspace=alice.workspace.name, **march).text)[1][1] == "5"


def test_what_was_posted_today_is_shown_by_default(operator: Client, alice: Person) -> None:
    add_credit(alice, NANO_PER_USD)
    add_price("gpt-4o", {0: {"prompt": 1_000_000, "completion": 0}})
    now = timezone.now()
    with frozen_clock(now):
        charge_call(alice, "gpt-4o", prompt=1000)
        text = chart(operator).text

    today = f"{now:%Y-%m-%d}"
    assert table(text) == [[today, "0.001", "0.001"]]
    assert f'name="last" value="{today}"' in text


def test_a_range_is_thirty_days_if_only_its_end_is_given(operator: Client, alice: Person) -> None:
    text = chart(operator, last="2026-03-30").text
    assert 'name="first" value="2026-03-01"' in text
    assert "Nothing was used." in text


def test_many_models_are_summed_up(operator: Client, alice: Person) -> None:
    for number in range(12):
        record_usage(alice.workspace.id, date(2026, 3, 1), f"m{number}", cost=(20 - number) * NANO_PER_USD)

    [row] = table(chart(operator, first="2026-03-01", last="2026-03-01").text)

    assert row == ["2026-03-01", "174.00", *[f"{cost}.00" for cost in range(20, 13, -1)], "55.00"]
    assert OTHERS in chart(operator, first="2026-03-01", last="2026-03-01").text


def test_a_deleted_workspace_still_has_its_usage(operator: Client) -> None:
    gone = uuid4()
    record_usage(gone, date(2026, 3, 1), "m", cost=1)

    text = chart(operator, workspace=str(gone), first="2026-03-01", last="2026-03-01").text

    assert table(text) == [["2026-03-01", "0.000000001", "0.000000001"]]


def test_names_are_text_and_never_markup(operator: Client) -> None:
    record_usage(uuid4(), date(2026, 3, 1), "<script>alert(1)</script>", cost=1)
    assert "<script>alert" not in chart(operator, first="2026-03-01", last="2026-03-01").text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"first": "2026-03-02", "last": "2026-03-01"}, "The range ends before it begins."),
        ({"first": "2020-01-01", "last": "2026-03-01"}, "A range has at most 366 days."),
        ({"first": "0001-01-01", "last": "9999-12-31"}, "A range has at most 366 days."),
        ({"first": "yesterday"}, "Enter a valid date."),
        ({"last": "2026-02-30"}, "Enter a valid date."),
        ({"last": "2026-02-01\x00"}, "Enter a valid date."),
        ({"workspace": "nobody"}, "There is no workspace"),
        ({"workspace": "a\x00"}, "Null characters"),
        ({"show": "everything"}, "Select a valid choice."),
    ],
)
def test_queries_that_cannot_be_charted_are_explained(
    query: dict[str, str], message: str, operator: Client
) -> None:
    text = chart(operator, **query).text
    assert message in text
    assert "<figure>" not in text


@pytest.mark.parametrize(
    "query", [{"first": "9999-12-31", "last": "9999-12-31"}, {"last": "0001-01-01"}, {"last": "0001-01-15"}]
)
def test_the_first_and_last_possible_days_can_be_charted(query: dict[str, str], operator: Client) -> None:
    assert "Nothing was used." in chart(operator, **query).text


def test_a_year_of_usage_takes_a_few_queries(
    operator: Client, alice: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        record_usage(
            uuid4() if number % 2 else alice.workspace.id, date(2026, 1, 1) + timedelta(number), "m", cost=1
        )

    with django_assert_max_num_queries(7):
        text = chart(operator, first="2026-01-01", last="2026-12-31").text

    assert len(table(text)) == 60


def test_the_page_needs_permission_to_view_usage(alice: Person) -> None:
    address = list_url("usagerollup")

    assert staff("view_usagerollup").get(address).status_code == 200
    assert staff("view_wallet", email="rob@example.com").get(address).status_code == 403
    assert Client().get(address).status_code == 302
    user = Client()
    user.force_login(alice.user)
    assert user.get(address).status_code == 302


def test_roll_ups_themselves_have_no_pages(operator: Client, alice: Person) -> None:
    record_usage(alice.workspace.id, date(2026, 3, 1), "m", cost=1)
    row = UsageRollup.objects.get()
    for page in (f"{row.pk}/change/", f"{row.pk}/delete/", "add/"):
        assert operator.get(list_url("usagerollup") + page).status_code == 404
