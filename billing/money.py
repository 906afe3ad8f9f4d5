"""Money as integers, and nothing else: rates in pico-USD a unit, amounts in nano-USD.

A charge is the exact sum of its units' rates, rounded once, up to the next nano-USD. So a smaller use never
costs more than a larger one, and nothing that has a price costs nothing.
"""

import re
from decimal import ROUND_CEILING, Context, Decimal, Inexact, InvalidOperation, localcontext

CURRENCY = "USD"
PICO_A_USD = 10**12
NANO_A_USD = 10**9
PICO_A_NANO = PICO_A_USD // NANO_A_USD
MOST_NANO = 10**18
"""A thousand million USD: what an amount may be at most. Nine of them fit into a column."""
MOST_A_CALL = 10**15
"""A million USD: what one call may cost at most, whatever its price and its upstream say."""
MOST_PICO = 10**15
"""A thousand USD for one unit: what a rate may be at most."""

_DECIMAL = re.compile(r"[+-]?(\d{1,12}(\.\d{1,18})?|\.\d{1,18})", re.ASCII)


class InvalidAmount(ValueError):
    """What was written is no amount of money that can be kept; the message says why."""


def usd(text: str | int | Decimal) -> Decimal:
    """A decimal number, exactly as it was written. Raises `InvalidAmount`."""
    if isinstance(text, str):
        text = text.strip()
        if not _DECIMAL.fullmatch(text):
            raise InvalidAmount(f"{text[:40]!r} is no decimal number of {CURRENCY}.")
    if isinstance(text, bool) or not isinstance(text, str | int | Decimal):
        raise InvalidAmount(f"{str(text)[:40]!r} is no decimal number of {CURRENCY}.")
    try:
        amount = Decimal(text)
    except (InvalidOperation, ValueError):
        raise InvalidAmount(f"{str(text)[:40]!r} is no decimal number of {CURRENCY}.") from None
    if not amount.is_finite():
        raise InvalidAmount(f"{str(text)[:40]!r} is no decimal number of {CURRENCY}.")
    return amount


def nano_of(text: str | int | Decimal) -> int:
    """Nano-USD in this many USD. Raises `InvalidAmount` where that is no whole number, or too large."""
    nano = _whole(usd(text), NANO_A_USD, f"USD have at most nine decimals, unlike {text}.")
    if abs(nano) > MOST_NANO:
        raise InvalidAmount(f"{text} USD is more than {format_usd(MOST_NANO)} USD.")
    return nano


def pico_of(text: str | int | Decimal, units: int) -> int:
    """The rate of one unit in pico-USD, where so many `units` cost this many USD. Raises `InvalidAmount`."""
    amount = usd(text)
    if amount < 0:
        raise InvalidAmount(f"A price is not negative, unlike {text}.")
    exactly = f"{text} USD for {units} is no whole number of pico-USD for one."
    pico = _whole(amount, PICO_A_USD, exactly, divided_by=units)
    if pico > MOST_PICO:
        raise InvalidAmount(f"{text} USD for {units} is more than {MOST_PICO // PICO_A_USD} USD for one.")
    return pico


def _whole(amount: Decimal, times: int, problem: str, *, divided_by: int = 1) -> int:
    try:
        with localcontext(Context(prec=80, traps=[Inexact])):
            product = amount * times / divided_by
    except Inexact:
        raise InvalidAmount(problem) from None
    if product.adjusted() > 40 or product != product.to_integral_value():
        raise InvalidAmount(problem)
    return int(product)


def nano_rounded_up(pico: int) -> int:
    """The one rounding of a line."""
    return -(-pico // PICO_A_NANO)


def format_usd(nano: int) -> str:
    """USD as a decimal number, with two decimals at least and none that says nothing: `-0.000012`, `5.00`."""
    sign, whole, rest = "-" if nano < 0 else "", abs(nano) // NANO_A_USD, abs(nano) % NANO_A_USD
    return f"{sign}{whole}.{f'{rest:09}'.rstrip('0').ljust(2, '0')}"


def format_rate(pico: int, units: int) -> str:
    """USD for so many units."""
    with localcontext(prec=80, rounding=ROUND_CEILING):
        return f"{(Decimal(pico) * units / PICO_A_USD).normalize():f}"
