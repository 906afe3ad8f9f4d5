"""Prices in the admin: they are added, in USD as everywhere, and never edited."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from billing.models import Price
from billing.prices import add_price, current_tariffs
from core.ids import format_user_id
from engines.served_models import reset_registry
from tests.support.billing_admin import (
    Answer,
    action_url,
    fill_in,
    form_errors,
    list_url,
    logged_messages,
    shown_messages,
)
from tests.support.media_admin import staff, superuser

ADD = "/admin/billing/price/add/"
UPSTREAM = '[[models]]\nid = "{id}"\nengine = "openai_compatible"\nbase_url = "http://127.0.0.1:9/v1"\n'
PRICE = {"prompt": "2.5", "completion": "10"}


@pytest.fixture(autouse=True)
def models_file(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.CHATAPI_MODELS_FILE = tmp_path / "models.toml"
    settings.CHATAPI_MODELS_FILE.write_text(
        UPSTREAM.format(id="gpt-4o")
        + UPSTREAM.format(id="voice")
        + 'output_modalities = ["text", "audio"]\n'
        + UPSTREAM.format(id="own-price")
        + "price = { prompt = 1, completion = 2 }\n"
        + '[[models]]\nid = "here"\nengine = "scripted"\n'
    )
    reset_registry()
    yield
    reset_registry()


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


def submit_price(client: Client, **values: str) -> Answer:
    return fill_in(client, ADD, **{"model": "gpt-4o", **values})


def at(moment: datetime) -> str:
    """Format a moment as browsers send it."""
    return f"{moment:%Y-%m-%dT%H:%M}"


# --- adding ----------------------------------------------------------------------------------------


def test_a_price_applies_from_now_on(operator: Client) -> None:
    assert 'value="gpt-4o"' in operator.get(ADD).text

    answer = submit_price(operator, prompt="2.5", cached="0.000001", completion="10", images="0.003")

    assert "From now on gpt-4o has a new price." in shown_messages(operator, answer)
    [price] = Price.objects.all()
    assert answer["Location"] == action_url("price", price.pk)
    root = User.objects.get(email="root@example.com")
    assert price.source == f"admin: {format_user_id(root.pk)}"
    assert current_tariffs(["gpt-4o"], timezone.now())["gpt-4o"].tiers == {
        0: {"prompt": 2_500_000, "cached": 1, "completion": 10_000_000, "images": 3_000_000_000}
    }
    assert logged_messages() == ["From now on gpt-4o has a new price."]


def test_a_price_may_begin_later(operator: Client) -> None:
    tomorrow = (timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0)
    submit_price(operator, prompt="1", completion="1")

    answer = submit_price(operator, starts_at=at(tomorrow), **PRICE)

    assert f"From {tomorrow:%Y-%m-%d %H:%M} UTC on" in shown_messages(operator, answer)
    assert Price.objects.order_by("starts_at").last().starts_at == tomorrow  # type: ignore[union-attr]
    assert current_tariffs(["gpt-4o"], timezone.now())["gpt-4o"].tiers[0]["prompt"] == 1_000_000
    assert "has a price that begins at" in form_errors(submit_price(operator, **PRICE))


def test_free_is_chosen_explicitly(operator: Client) -> None:
    assert "From now on gpt-4o is free." in shown_messages(operator, submit_price(operator, is_free="on"))
    assert Price.objects.get().is_free
    assert ">free<" in operator.get(list_url("price")).text


def test_a_model_that_nobody_serves_yet_is_pointed_out(operator: Client) -> None:
    answer = submit_price(operator, model="gpt-99", prompt="1")
    assert "The models file has no model 'gpt-99'." in shown_messages(operator, answer)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "A price names a rate at least, or is free."),
        ({"is_free": "on", "prompt": "0"}, "A price is free, or has rates."),
        ({"prompt": "1"}, "This model needs it: what is left out costs nothing."),
        ({"model": "", **PRICE}, "This field is required."),
        ({"model": "x" * 201, **PRICE}, "at most 200 characters"),
        ({"model": "a\x00b", **PRICE}, "Null characters"),
        ({"model": "own-price", **PRICE}, "is said by the models file alone"),
        ({"model": "here", **PRICE}, "is said by the models file alone"),
        ({"model": "voice", **PRICE}, "This model needs it"),
        ({"prompt": "-1", "completion": "1"}, "A price is not negative, unlike -1."),
        ({"prompt": "1e5", "completion": "1"}, "'1e5' is no decimal number of USD."),
        ({"prompt": "5 EUR", "completion": "1"}, "'5 EUR' is no decimal number of USD."),
        ({"prompt": "0.0000000001", "completion": "1"}, "is no whole number of pico-USD for one."),
        ({"prompt": "9" * 13, "completion": "1"}, "is no decimal number of USD."),
        ({"images": "1000.01", **PRICE}, "is more than 1000 USD for one."),
        ({"prompt": "1\x00", "completion": "1"}, "Null characters"),
        ({"starts_at": "2020-01-01T00:00", **PRICE}, "A price does not begin in the past"),
        ({"starts_at": "9999-12-31T23:59", **PRICE}, "A price begins within a year"),
        ({"starts_at": "0001-01-01T00:00", **PRICE}, "A price does not begin in the past"),
        ({"starts_at": "soon", **PRICE}, "Enter a valid date/time."),
        ({"starts_at": "2026-02-30T00:00", **PRICE}, "Enter a valid date/time."),
    ],
)
def test_invalid_prices_are_refused(values: dict[str, str], message: str, operator: Client) -> None:
    answer = submit_price(operator, **values)

    assert message in form_errors(answer)
    assert not Price.objects.exists()
    assert logged_messages() == []


def test_zero_is_a_rate(operator: Client) -> None:
    shown_messages(operator, submit_price(operator, model="voice", prompt="0", completion="0", audio_out="0"))
    assert Price.objects.get().rates.count() == 3


def test_input_stays_on_the_page_after_an_error(operator: Client) -> None:
    text = submit_price(operator, prompt="2.5", completion="ten").text
    assert 'name="prompt" value="2.5"' in text
    assert 'name="completion" value="ten"' in text


# --- viewing ---------------------------------------------------------------------------------------


def test_the_list_shows_which_price_is_in_force(operator: Client) -> None:
    old = add_price("m", {0: {"prompt": 1_000_000}}, starts_at=timezone.now() - timedelta(seconds=3))
    new = add_price("m", {0: {"prompt": 2_000_000, "completion": 1}, 100: {"prompt": 3_000_000}})
    next = add_price("m", None, starts_at=timezone.now() + timedelta(days=1))
    ids = {"superseded": old.pk, "current": new.pk, "scheduled": next.pk}

    text = operator.get(list_url("price")).text
    assert "prompt 2 · completion 0.000001" in text
    assert "from 100: prompt 3" in text

    for state, id in ids.items():
        found = operator.get(list_url("price", state=state)).text
        assert {one for one in ids.values() if action_url("price", one) in found} == {id}
        assert f'field-state">{state}<' in found
    shown = operator.get(action_url("price", new.pk)).text
    assert "prompt tokens: 3 USD for 1,000,000, from 100 prompt tokens on" in shown


def test_prices_are_found_by_model_and_source(operator: Client) -> None:
    wanted, other = add_price("gpt-4o", None, source="genai-prices"), add_price("qwen", None)

    for words in ("GPT-4", "genai", str(wanted.pk)):
        text = operator.get(list_url("price", q=words)).text
        assert action_url("price", wanted.pk) in text
        assert action_url("price", other.pk) not in text


def test_a_long_list_takes_no_more_queries_than_a_short_one(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        add_price(f"m{number}", {0: {"prompt": 1, "completion": 1}})

    with django_assert_max_num_queries(10):
        assert operator.get(list_url("price")).text.count("prompt 0.000001") == 20


def test_no_price_is_edited_or_deleted(operator: Client) -> None:
    price = add_price("m", None)

    shown = operator.get(action_url("price", price.pk)).text
    assert 'name="_save"' not in shown
    assert "deletelink" not in shown
    for action in ("change", "delete"):
        assert (
            operator.post(action_url("price", price.pk, action), {"model": "n", "post": "yes"}).status_code
            == 403
        )
    assert Price.objects.get().model == "m"


# --- permissions -----------------------------------------------------------------------------------


def test_view_only_staff_cannot_add_prices(db: None) -> None:
    viewer = staff("view_price")

    assert "Add price" not in viewer.get(list_url("price")).text
    assert viewer.get(ADD).status_code == 403
    assert viewer.post(ADD, {"model": "gpt-4o", **PRICE}).status_code == 403
    assert not Price.objects.exists()


def test_staff_who_may_change_prices_can_add_them(db: None) -> None:
    pricer = staff("change_price", email="pricer@example.com")

    assert "Add price" in pricer.get(list_url("price")).text
    shown_messages(pricer, submit_price(pricer, **PRICE))

    user = User.objects.get(email="pricer@example.com")
    assert Price.objects.get().source == f"admin: {format_user_id(user.pk)}"


def test_staff_without_permission_see_nothing(db: None) -> None:
    other = staff("change_wallet")
    price = add_price("m", None)

    for address in (ADD, list_url("price"), action_url("price", price.pk)):
        assert other.get(address).status_code == 403
