"""Money, only ever as integers: rates in pico-USD per unit, amounts in nano-USD.

A charge is the exact sum of its units' rates, rounded once, up to the next nano-USD. So using less never
costs more than using more, and whatever has a price costs something.
"""

from decimal import ROUND_CEILING, Decimal, localcontext

from core.money import MAX_NANO, NANO_PER_USD, InvalidAmount, parse_usd, to_integer

PICO_PER_USD = 10**12
PICO_PER_NANO = PICO_PER_USD // NANO_PER_USD
MAX_NANO_PER_CALL = MAX_NANO
"""The most that one call costs, whatever its price and its upstream say."""
MAX_NANO_PER_WALLET = 10**18
"""The most that is ever moved by hand in one wallet, and that one without a limit may owe: a billion USD.

So all that was ever charged to it is at most twice as much, besides the calls under way. Nine times as much
fits into a column, and into a sum of SQLite's, which fails beyond 64 bits.
"""
MAX_PICO = 10**15
"""The highest rate: a thousand USD for one unit."""


def usd_to_pico_rate(text: str | int | Decimal, units: int) -> int:
    """Return one unit's rate in pico-USD if `units` of them cost this many USD. Raises `InvalidAmount`."""
    amount = parse_usd(text)
    if amount < 0:
        raise InvalidAmount(f"A price is not negative, unlike {text}.")
    inexact_message = f"{text} USD for {units} is no whole number of pico-USD for one."
    pico = to_integer(amount, PICO_PER_USD, inexact_message, divided_by=units)
    if pico > MAX_PICO:
        raise InvalidAmount(f"{text} USD for {units} is more than {MAX_PICO // PICO_PER_USD} USD for one.")
    return pico


def pico_to_nano_rounded_up(pico: int) -> int:
    """Convert pico-USD to nano-USD, rounding up. Each line is rounded only here."""
    return -(-pico // PICO_PER_NANO)


def format_rate(pico: int, units: int) -> str:
    """Write what this many units cost in USD."""
    with localcontext(prec=80, rounding=ROUND_CEILING):
        return f"{(Decimal(pico) * units / PICO_PER_USD).normalize():f}"
