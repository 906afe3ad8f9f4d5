"""`/v1/billing/statements`: months as JSON, as a CSV table and as a page to print."""

import csv
import re
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from accounts.roles import Role
from billing import ledger
from billing.statement_exports import as_csv, as_html
from billing.statements import create_missing_statements, find_report
from billing.units import UNIT_NAMES, Units
from core.ids import PROJECT, format_id
from tests.support.billed_months import USD, create_wallet, day, frozen_clock, post_call
from tests.support.people import Person, set_role

STATEMENTS = "/v1/billing/statements"
HOSTILE = '=HYPERLINK("http://evil.example", "<script>alert(1)</script>")\r\nand, more'


@pytest.fixture
def january(alice: Person) -> None:
    """Alice's January, which is closed and has one payment."""
    create_wallet(alice)
    pay(alice, "Invoice 7")
    post_call(alice, day(3))
    post_call(alice, day(3), Units(prompt=100, cached=10), model="gpt-mini")
    with frozen_clock(day(1, month=2)):
        create_missing_statements()


def pay(who: Person, reason: str, number: int = 2, amount: int = 5 * USD) -> None:
    with frozen_clock(day(number)):
        ledger.top_up(
            who.workspace.id, amount, reason=reason, by="treasurer@example.com", reference=f"#{number}"
        )


def get(client: Client, who: Person, address: str, **query: object) -> dict[str, Any]:
    answer = client.get(f"{STATEMENTS}{address}", query, headers=who.headers)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def table(client: Client, who: Person, month: str = "2026-01") -> list[dict[str, str]]:
    answer = client.get(f"{STATEMENTS}/{month}.csv", headers=who.headers)
    assert answer.status_code == 200
    return list(csv.DictReader(StringIO(answer.content.decode(), newline="")))


def page(client: Client, who: Person, month: str = "2026-01") -> str:
    answer = client.get(f"{STATEMENTS}/{month}.html", headers=who.headers)
    assert answer.status_code == 200
    assert answer["content-type"] == "text/html; charset=utf-8"
    return answer.text


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("january")
def test_a_statement(alice: Person, client: Client) -> None:
    shown = get(client, alice, "/2026-01")

    [movement] = shown.pop("movements")
    lines = shown.pop("lines")
    assert shown == {
        "id": "2026-01",
        "object": "billing.statement",
        "project_id": format_id(PROJECT, alice.workspace.id),
        "starts_at": int(day(1, hour=0).timestamp()),
        "ends_at": int(day(1, month=2, hour=0).timestamp()),
        "closed": True,
        "created_at": int(day(1, month=2).timestamp()),
        "currency": "USD",
        "opening": "0.00",
        "totals": {
            "charge": "-0.000128",
            "top_up": "5.00",
            "promotion": "0.00",
            "adjustment": "0.00",
            "reversal": "0.00",
        },
        "closing": "4.999872",
        "others": {"count": 0, "amount": "0.00"},
    }
    assert lines[1] == {
        "model": "gpt-mini",
        "kind": "completion",
        "requests": 1,
        "units": {**dict.fromkeys(UNIT_NAMES, 0), "prompt": 100, "cached": 10},
        "amount": "-0.000105",
    }
    assert (movement["kind"], movement["amount"], movement["reason"]) == ("top_up", "5.00", "Invoice 7")


@pytest.mark.usefixtures("january")
def test_the_current_month_can_be_seen_before_it_is_closed(alice: Person, client: Client) -> None:
    post_call(alice, day(3, month=2))

    with frozen_clock(day(4, month=2)):
        shown = get(client, alice, "/2026-02")
        listed = get(client, alice, "")

    assert (shown["closed"], shown["created_at"]) == (False, int(day(4, month=2).timestamp()))
    assert (shown["opening"], shown["totals"]["charge"]) == ("4.999872", "-0.000023")
    assert [row["id"] for row in listed["data"]] == ["2026-01"]


def test_statements_newest_first(alice: Person, client: Client) -> None:
    create_wallet(alice)
    post_call(alice, day(3))
    with frozen_clock(day(2, month=4)):
        create_missing_statements()

    newest = get(client, alice, "", limit=2)
    rest = get(client, alice, "", limit=2, after=newest["last_id"])

    assert [row["id"] for row in newest["data"]] == ["2026-03", "2026-02"]
    assert (newest["has_more"], newest["first_id"], newest["last_id"]) == (True, "2026-03", "2026-02")
    assert [row["id"] for row in rest["data"]] == ["2026-01"]
    assert not rest["has_more"]
    assert rest["data"][0]["closing"] == "-0.000023"
    assert "lines" not in rest["data"][0]


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("january")
def test_a_table_adds_up(alice: Person, client: Client) -> None:
    rows = table(client, alice)

    assert [row["type"] for row in rows] == ["opening", "charge", "charge", "top_up", "closing"]
    assert [row["description"] for row in rows[1:4]] == [
        "gpt, completion",
        "gpt-mini, completion",
        "Invoice 7",
    ]
    assert (rows[2]["prompt"], rows[2]["cached"], rows[2]["requests"]) == ("100", "10", "1")
    assert (rows[3]["date"], rows[3]["reference"]) == ("2026-01-02", "#2")
    assert (rows[0]["date"], rows[-1]["date"]) == ("2026-01-01", "2026-01-31")
    *parts, whole = (Decimal(row["amount_usd"]) for row in rows)
    assert sum(parts) == whole == Decimal("4.999872")


def test_a_table_adds_up_even_if_not_everything_is_listed(alice: Person) -> None:
    create_wallet(alice)
    for number in (2, 3, 4):
        pay(alice, "Invoice", number, number)

    with frozen_clock(day(5)):
        report = find_report(alice.workspace.id, date(2026, 1, 1), listed=1)
    assert report
    rows = list(csv.DictReader(StringIO(as_csv(report), newline="")))
    shown = as_html(report, "Alice's")

    assert [row["type"] for row in rows] == ["opening", "top_up", "others", "closing"]
    *parts, whole = (Decimal(row["amount_usd"]) for row in rows)
    assert sum(parts) == whole == Decimal("0.000000009")
    assert "2 more" in shown


@pytest.mark.usefixtures("january")
def test_a_table_follows_rfc_4180(alice: Person, client: Client) -> None:
    answer = client.get(f"{STATEMENTS}/2026-01.csv", headers=alice.headers)

    assert answer["content-type"] == "text/csv; charset=utf-8"
    assert answer["content-disposition"] == 'attachment; filename="statement-2026-01.csv"'
    lines = answer.content.split(b"\r\n")
    assert lines[-1] == b""
    assert not any(b"\n" in line for line in lines)
    assert b'"gpt, completion"' in answer.content


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "＝"])
def test_no_cell_is_a_formula(first: str, alice: Person, client: Client) -> None:
    create_wallet(alice)
    pay(alice, HOSTILE)
    post_call(alice, day(3), model=f"{first}cmd|' /C calc'!A0")

    with frozen_clock(day(4)):
        rows = table(client, alice)

    assert rows[1]["description"] == f"'{first}cmd|' /C calc'!A0, completion"
    assert rows[2]["description"] == "'" + HOSTILE
    assert rows[1]["amount_usd"] == "-0.000023"


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("january")
def test_a_page_to_print(alice: Person, client: Client) -> None:
    text = page(client, alice)

    for shown in ("Statement January 2026", "2026-01-01 to 2026-01-31", "gpt-mini", "Invoice 7", "4.999872"):
        assert shown in text
    assert "/static/billing/statement.css" in text
    assert "Preview" not in text
    assert "alice@example.com&#x27;s workspace" in text
    assert "10 cached prompt tokens" in text
    assert "images" not in text
    assert "5.000000" in text  # padded, so that amounts line up


def test_a_preview_says_that_it_is_one(alice: Person, client: Client) -> None:
    create_wallet(alice)

    with frozen_clock(day(4)):
        text = page(client, alice)

    assert "Preview of 2026-01-04 12:00 UTC" in text
    assert text.count("None.") == 2


def test_a_page_runs_and_loads_nothing(alice: Person, client: Client) -> None:
    create_wallet(alice)
    pay(alice, HOSTILE)
    post_call(alice, day(3), model="<img src=x onerror=alert(1)>")
    alice.workspace.name = "</title><script>alert(1)</script>"
    alice.workspace.save()

    with frozen_clock(day(4)):
        answer = client.get(f"{STATEMENTS}/2026-01.html", headers=alice.headers)

    assert not re.search(r"<(script|style|img|iframe)| style=", answer.text)
    assert "&lt;script&gt;" in answer.text
    assert "://" not in answer.text.replace("http://evil.example", "")
    assert re.findall(r"<link[^>]*>", answer.text) == [
        '<link rel="stylesheet" href="/static/billing/statement.css">'
    ]


# --- who may see it, and what is refused ----------------------------------------------------------


FORMS = ["/2026-01", "/2026-01.csv", "/2026-01.html"]


@pytest.mark.usefixtures("january")
@pytest.mark.parametrize("form", FORMS)
def test_owner_and_teammate_see_it_and_a_stranger_does_not(
    form: str, alice: Person, bob: Person, charlie: Person, client: Client
) -> None:
    create_wallet(charlie, day(2, month=2))
    set_role(bob, Role.ADMIN)

    def answer(who: Person) -> Any:
        return client.get(f"{STATEMENTS}{form}", headers=who.headers)

    assert answer(alice).content == answer(bob).content
    assert "4.999872" in answer(alice).text
    assert answer(charlie).status_code == 404
    assert answer(charlie).json()["error"]["param"] == "month"
    assert get(client, charlie, "")["data"] == []
    assert len(get(client, bob, "")["data"]) == 1


@pytest.mark.parametrize("form", ["", *FORMS])
def test_somebody_unknown_is_asked_for_a_key(form: str, client: Client, db: None) -> None:
    answer = client.get(f"{STATEMENTS}{form}")

    assert answer.status_code == 401
    assert answer["content-type"] == "application/json"


def test_a_browser_prints_with_its_session(alice: Person, client: Client) -> None:
    create_wallet(alice)
    pay(alice, "Invoice 7")
    client.force_login(alice.user)

    with frozen_clock(day(4)):
        assert "Invoice 7" in client.get(f"{STATEMENTS}/2026-01.html").text


@pytest.mark.parametrize("suffix", ["", ".csv", ".html"])
@pytest.mark.parametrize(
    ("month", "status"),
    [
        ("2026-13", 400),
        ("2026-00", 400),
        ("2026-1", 400),
        ("0000-01", 400),
        ("-001-01", 400),
        ("99999-01", 400),
        ("٢٠٢٦-٠١", 400),
        ("2026-01%00", 400),
        ("2026-01%0A", 400),
        ("january", 400),
        ("a" * 3000, 400),
        ("0001-01", 404),
        ("2025-12", 404),
        ("9999-12", 404),
    ],
)
def test_an_impossible_month_is_refused(
    month: str, status: int, suffix: str, alice: Person, client: Client
) -> None:
    create_wallet(alice)

    answer = client.get(f"{STATEMENTS}/{month}{suffix}", headers=alice.headers)

    assert answer.status_code == status
    assert answer.json()["error"]["param"] == "month"


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=1e2", "limit", "invalid_type"),
        ("after=2026-13", "after", "invalid_value"),
        ("after=%00", "after", "invalid_value"),
        ("after=", "after", "invalid_value"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, param: str, code: str, alice: Person, client: Client) -> None:
    answer = client.get(f"{STATEMENTS}?{query}", headers=alice.headers)

    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)
