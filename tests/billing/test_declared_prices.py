"""The price book follows the models file."""

from datetime import timedelta

import pytest
from django.utils import timezone
from msgspec.structs import replace

from billing.models import Price
from billing.prices import (
    add_declared_prices,
    add_price,
    current_tariffs,
    free_if_unpriced,
    mark_free_if_unpriced,
)
from billing.tariffs import rates_of
from chatapi.completions.declared_prices import declared_prices
from engines.model_spec import ModelSpec

pytestmark = pytest.mark.django_db
CHEAP, DEAR = rates_of({"prompt": 1, "completion": 2}), rates_of({"prompt": 10, "completion": 20})


def test_a_price_in_the_file_is_added_once() -> None:
    assert len(add_declared_prices({"m": CHEAP})) == 1
    assert add_declared_prices({"m": CHEAP}) == []
    assert len(add_declared_prices({"m": DEAR})) == 1
    assert len(add_declared_prices({"m": "free"})) == 1
    assert add_declared_prices({"m": "free"}) == []
    assert current_tariffs({"m"}, timezone.now())["m"].is_free


def test_local_models_are_free_until_somebody_prices_them() -> None:
    mark_free_if_unpriced(["m"])
    add_price("m", {0: CHEAP})
    mark_free_if_unpriced(["m"])
    assert not current_tariffs({"m"}, timezone.now())["m"].is_free


def test_what_is_free_until_it_is_priced_does_not_end_a_price_that_is_yet_to_begin() -> None:
    soon = timezone.now() + timedelta(days=1)
    add_price("m", {0: CHEAP}, starts_at=soon)
    assert free_if_unpriced(["m", "other"]) == {"other": "free"}
    [local] = [ModelSpec(id="m", engine="local")]
    assert declared_prices([local, replace(local, id="other")]) == {"other": "free"}
    assert declared_prices([replace(local, price="free")]) == {"m": "free"}


def test_a_scheduled_price_comes_first_and_does_not_prevent_a_start() -> None:
    soon = timezone.now() + timedelta(days=1)
    add_price("m", {0: CHEAP})
    add_price("m", {0: DEAR}, starts_at=soon)
    [added] = add_declared_prices({"m": "free"})
    assert added.starts_at > soon
    assert add_declared_prices({"m": "free"}) == []
    assert Price.objects.count() == 3
    assert current_tariffs({"m"}, timezone.now())["m"].tiers == {0: CHEAP}
    assert current_tariffs({"m"}, soon + timedelta(seconds=1))["m"].is_free
