"""Money, only ever as integers: rates in pico-USD per unit, amounts in nano-USD.

A charge is the exact sum of its units' rates, rounded once, up to the next nano-USD. So using less never
costs more than using more, and whatever has a price costs something.
"""

import re
from decimal import ROUND_CEILING, Context, Decimal, Inexact, localcontext

CURRENCY = "USD"
PICO_PER_USD = 10**12
NANO_PER_USD = 10**9
PICO_PER_NANO = PICO_PER_USD // NANO_PER_USD
MAX_NANO = 10**15
"""The highest amount that is moved or set as a limit: a million USD."""
MAX_NANO_PER_CALL = MAX_NANO
"""The most that one call costs, whatever its price and its upstream say."""
MAX_NANO_PER_WALLET = 10**18
"""The most that is ever moved by hand in one wallet, and that one without a limit may owe: a billion USD.

So all that was ever charged to it is at most twice as much, besides the calls under way. Nine times as much
fits into a column, and into a sum of SQLite's, which fails beyond 64 bits.
"""
MAX_PICO = 10**15
"""The highest rate: a thousand USD for one unit."""

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
    nano = _to_integer(parse_usd(text), NANO_PER_USD, f"USD have at most nine decimals, unlike {text}.")
    if abs(nano) > MAX_NANO:
        raise InvalidAmount(f"{text} USD is more than {format_usd(MAX_NANO)} USD.")
    return nano


def usd_to_pico_rate(text: str | int | Decimal, units: int) -> int:
    """Return one unit's rate in pico-USD if `units` of them cost this many USD. Raises `InvalidAmount`."""
    amount = parse_usd(text)
    if amount < 0:
        raise InvalidAmount(f"A price is not negative, unlike {text}.")
    inexact_message = f"{text} USD for {units} is no whole number of pico-USD for one."
    pico = _to_integer(amount, PICO_PER_USD, inexact_message, divided_by=units)
    if pico > MAX_PICO:
        raise InvalidAmount(f"{text} USD for {units} is more than {MAX_PICO // PICO_PER_USD} USD for one.")
    return pico


def _to_integer(amount: Decimal, times: int, message: str, *, divided_by: int = 1) -> int:
    try:
        with localcontext(Context(prec=80, traps=[Inexact])):
            product = amount * times / divided_by
    except Inexact:
        raise InvalidAmount(message) from None
    if product.adjusted() > 40 or product != product.to_integral_value():
        raise InvalidAmount(message)
    return int(product)


def pico_to_nano_rounded_up(pico: int) -> int:
    """Convert pico-USD to nano-USD, rounding up. Each line is rounded only here."""
    return -(-pico // PICO_PER_NANO)


def format_usd(nano: int) -> str:
    """Write USD with at least two decimals and no needless zeros after them: `-0.000012`, `5.00`."""
    sign, whole, rest = "-" if nano < 0 else "", abs(nano) // NANO_PER_USD, abs(nano) % NANO_PER_USD
    return f"{sign}{whole}.{f'{rest:09}'.rstrip('0').ljust(2, '0')}"


def format_rate(pico: int, units: int) -> str:
    """Write what this many units cost in USD."""
    with localcontext(prec=80, rounding=ROUND_CEILING):
        return f"{(Decimal(pico) * units / PICO_PER_USD).normalize():f}"
