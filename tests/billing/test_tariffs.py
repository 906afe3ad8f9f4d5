"""What usage costs: no usage within a bound costs more than is held for it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.exceptions import InvalidPrice
from billing.money import MAX_NANO_PER_CALL, MAX_PICO
from billing.tariffs import Bound, Tariff, Tiers, rates_of
from billing.units import UNIT_NAMES, Units
from core.ids import new_id


def tariff(tiers: Tiers | None) -> Tariff:
    return Tariff(new_id(), "m", datetime.now(UTC), tiers is None, tiers or {})


def test_each_unit_has_its_rate_or_falls_back_to_another() -> None:
    known = tariff({0: {"prompt": 1000, "completion": 10_000, "audio_out": 7000}})
    assert known.cost(Units(prompt=1, cached=1, audio_in=1)) == 3
    assert known.cost(Units(completion=1, reasoning=1)) == 20
    assert known.cost(Units(audio_out=1)) == 7
    assert known.cost(Units(images=5, seconds=5, characters=5)) == 0
    whole = tariff({0: dict(zip(UNIT_NAMES, range(1000, 10_000, 1000), strict=True))})
    assert whole.cost(Units(1, 1, 1, 1, 1, 1, 1, 1, 1)) == sum(range(1, 10))
    assert tariff(None).cost(Units(prompt=10**9)) == 0


def test_a_sum_is_rounded_once_and_not_per_unit() -> None:
    assert tariff({0: {"prompt": 1, "completion": 1}}).cost(Units(prompt=1, completion=1)) == 1


def test_long_prompts_have_rates_of_their_own() -> None:
    tiered = tariff({0: {"prompt": 1000, "completion": 2000}, 100: {"prompt": 3000}})
    assert tiered.cost(Units(prompt=99, completion=1)) == 99 + 2
    assert tiered.cost(Units(prompt=60, cached=40, completion=1)) == 300 + 2
    assert tiered.max_cost(Bound(prompt=99, output=1)) == 99 + 2
    assert tiered.max_cost(Bound(prompt=100, output=1)) == 300 + 2


def test_no_call_costs_more_than_the_columns_of_the_ledger_can_add_up() -> None:
    dearest = tariff({0: {"prompt": MAX_PICO, "completion": MAX_PICO}})
    assert dearest.cost(Units(prompt=2**31 - 1, completion=2**31 - 1)) == MAX_NANO_PER_CALL
    assert dearest.max_cost(Bound(prompt=2**31 - 1)) == MAX_NANO_PER_CALL


rates = st.dictionaries(st.sampled_from(UNIT_NAMES), st.integers(0, 10**9), min_size=1)
tiers = st.builds(
    lambda first, later: {0: first, **later}, rates, st.dictionaries(st.integers(1, 5000), rates, max_size=3)
)
counts = st.integers(0, 2000)


@given(tiers, counts, counts, counts, counts, counts, counts, counts)
def test_no_use_within_a_bound_costs_more_than_is_held(
    tiers: Any,
    prompt: int,
    cached: int,
    heard: int,
    completion: int,
    reasoning: int,
    spoken: int,
    images: int,
) -> None:
    bound = Bound(
        prompt=prompt + cached + heard,
        output=completion + reasoning + spoken,
        images=images,
        hears=True,
        speaks=True,
    )
    used = Units(prompt, cached, completion, reasoning, heard, spoken, images)
    known = tariff(tiers)
    assert 0 <= known.cost(used) <= known.max_cost(bound)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({}, "names a unit"),
        ({"tokens": 1}, "no unit 'tokens'"),
        ({"prompt": "-1"}, "prompt tokens"),
        ({"prompt": "1 EUR"}, "no decimal number of USD"),
        ({"completion": "0.0000001"}, "no whole number of pico-USD"),
        ({"images": 10**9}, "images"),
    ],
)
def test_a_wrong_price_is_refused_naming_its_unit(written: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidPrice, match=says):
        rates_of(written)
