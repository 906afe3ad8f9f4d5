"""Money is read, rounded and written without losing a digit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import format_rate, pico_to_nano_rounded_up, usd_to_pico_rate
from core.money import MAX_NANO, InvalidAmount, format_usd, usd_to_nano


@pytest.mark.parametrize(
    ("written", "nano"),
    [
        ("25", 25 * 10**9),
        (" 0.50 ", 5 * 10**8),
        ("-0.000000001", -1),
        ("+1.000000000", 10**9),
        (".5", 5 * 10**8),
        (3, 3 * 10**9),
        (Decimal("0.1"), 10**8),
        ("1000000", MAX_NANO),
    ],
)
def test_usd_become_nano_usd(written: str | int | Decimal, nano: int) -> None:
    assert usd_to_nano(written) == nano


@pytest.mark.parametrize(
    "written",
    [
        "",
        "five",
        "5 EUR",
        "$5",
        "1e5",
        "1,5",
        "0.0000000001",
        "1000000.000000001",
        "1000000000",
        "9" * 30,
        "NaN",
        "inf",
        "٣",
    ],
)
def test_invalid_amounts_of_usd_are_refused(written: str) -> None:
    with pytest.raises(InvalidAmount):
        usd_to_nano(written)


@pytest.mark.parametrize(
    ("written", "units", "pico"),
    [("0.15", 10**6, 150_000), ("0", 10**6, 0), ("0.0001", 1, 10**8), ("0.000000000001", 1, 1)],
)
def test_rates_are_pico_usd_per_unit(written: str, units: int, pico: int) -> None:
    assert usd_to_pico_rate(written, units) == pico


@pytest.mark.parametrize(("written", "units"), [("-1", 1), ("0.0000001", 10**6), ("1001", 1), ("x", 1)])
def test_rates_that_cannot_be_stored_are_refused(written: str, units: int) -> None:
    with pytest.raises(InvalidAmount):
        usd_to_pico_rate(written, units)


@given(st.integers(-MAX_NANO, MAX_NANO))
def test_what_is_written_is_what_is_read(nano: int) -> None:
    assert usd_to_nano(format_usd(nano)) == nano


@given(st.integers(0, 10**15), st.sampled_from([1, 10**6]))
def test_a_rate_is_written_without_loss(pico: int, units: int) -> None:
    assert Decimal(format_rate(pico, units)) * 10**12 == pico * units


@given(st.integers(0, 10**20))
def test_nano_usd_are_rounded_up(pico: int) -> None:
    assert 0 <= pico_to_nano_rounded_up(pico) * 1000 - pico < 1000
