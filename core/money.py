"""Amounts of money, only ever as integers: nano-USD, read and written as decimal numbers of USD."""

import re
from decimal import Context, Decimal, Inexact, localcontext

CURRENCY = "USD"
NANO_PER_USD = 10**9
MAX_NANO = 10**15
"""The highest amount that is moved or set as a limit: a million USD."""

_DECIMAL = re.compile(r"[+-]?(\d{1,12}(\.\d{1,18})?|\.\d{1,18})", re.ASCII)


class InvalidAmount(ValueError):
    """The input is not an amount of money that can be stored; the message says why."""


def parse_usd(text: str | int | Decimal) -> Decimal:
    """Parse a decimal number exactly as written. Raises `InvalidAmount`."""
    if isinstance(text, str):
        text = text.strip()
    is_number = isinstance(text, int | Decimal) and not isinstance(text, bool)
    is_amount = is_number or (isinstance(text, str) and _DECIMAL.fullmatch(text))
    if not is_amount or not (amount := Decimal(text)).is_finite():
        raise InvalidAmount(f"{str(text)[:40]!r} is no decimal number of {CURRENCY}.")
    return amount


def usd_to_nano(text: str | int | Decimal) -> int:
    """Convert USD to nano-USD. Raises `InvalidAmount` if that is not a whole number, or too large."""
    nano = to_integer(parse_usd(text), NANO_PER_USD, f"USD have at most nine decimals, unlike {text}.")
    if abs(nano) > MAX_NANO:
        raise InvalidAmount(f"{text} USD is more than {format_usd(MAX_NANO)} USD.")
    return nano


def to_integer(amount: Decimal, times: int, message: str, *, divided_by: int = 1) -> int:
    """Multiply and divide exactly. Raises `InvalidAmount` with this message if that leaves a fraction."""
    try:
        with localcontext(Context(prec=80, traps=[Inexact])):
            product = amount * times / divided_by
    except Inexact:
        raise InvalidAmount(message) from None
    if product.adjusted() > 40 or product != product.to_integral_value():
        raise InvalidAmount(message)
    return int(product)


def format_usd(nano: int) -> str:
    """Write USD with at least two decimals and no needless zeros after them: `-0.000012`, `5.00`."""
    sign, whole, rest = "-" if nano < 0 else "", abs(nano) // NANO_PER_USD, abs(nano) % NANO_PER_USD
    return f"{sign}{whole}.{f'{rest:09}'.rstrip('0').ljust(2, '0')}"
