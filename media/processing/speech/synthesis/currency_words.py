"""Amounts of money as words."""

import re
from decimal import Decimal

from media.processing.speech.language_tags import primary_language
from media.processing.speech.synthesis.number_words import number_words, read_number

SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW", "₽": "RUB", "₴": "UAH"}
CURRENCIES_WITHOUT_COINS = {"JPY": "yen", "KRW": "won", "VND": "dong"}
"""The English names of currencies without a smaller unit."""
SCALES = {"k": "thousand", "m": "million", "bn": "billion"}

UNIT = r"[A-Z]{3}|[$€£¥₹₩₽₴]"
CURRENCY = re.compile(rf"(?P<before>{UNIT})?\s*(?P<number>-?[\d.,'’\s]*\d)\s*(?P<after>{UNIT})?")
IN_TEXT = re.compile(
    r"(?P<minus>(?<!\S)-)?(?P<symbol>[$€£¥₹])\s?(?P<number>\d{1,15}(?:,\d{3})*(?:\.\d+)?)"
    r"(?P<scale>(?:\s(?:thousand|million|billion|trillion)|bn|[kKmM])\b)?"
)


def currency_words(text: str, format: str | None, language: str) -> str | None:
    """Return an amount in words: `$45.30`, `45,30 €`, `USD 5`, or a number with its currency as `format`."""
    sign = "-" if text.startswith("-") else ""
    found = CURRENCY.fullmatch(text.removeprefix("-").strip())
    if found is None:
        return None
    unit = found["before"] or found["after"] or (format or "").upper()
    number = read_number(sign + found["number"], language)
    return None if number is None else amount_in_words(number, SYMBOLS.get(unit, unit), language)


def amount_in_words(number: Decimal, currency: str, language: str) -> str | None:
    from num2words import num2words

    if currency in CURRENCIES_WITHOUT_COINS and primary_language(language) == "en":
        words = number_words(number, language)
        return None if words is None else f"{words} {CURRENCIES_WITHOUT_COINS[currency]}"
    if abs(number) >= Decimal(10) ** 30:
        return None
    is_english = primary_language(language) == "en"
    joiner = {"separator": " and"} if is_english else {}
    rounded = number.quantize(Decimal("0.01"))
    options = {"to": "currency", "lang": language.replace("-", "_"), "currency": currency}
    try:
        whole: str = num2words(rounded, **options, separator="|")
        return whole.split("|")[0] if rounded == int(rounded) else num2words(rounded, **options, **joiner)
    except (NotImplementedError, OverflowError, ValueError, TypeError, KeyError, IndexError):
        return None


def replace_amounts(text: str) -> str:
    """Write out the amounts of money in an English text: no synthesizer reads `$4.5 million` correctly."""
    return IN_TEXT.sub(_replace_match, text)


def _replace_match(found: re.Match[str]) -> str:
    number = Decimal(found["number"].replace(",", "")) * (-1 if found["minus"] else 1)
    currency = SYMBOLS[found["symbol"]]
    scale = (found["scale"] or "").strip().lower()
    if not scale:
        return amount_in_words(number, currency, "en") or found[0]
    unit = (amount_in_words(Decimal(2), currency, "en") or "").partition(" ")[2]
    return f"{number_words(number, 'en')} {SCALES.get(scale, scale)} {unit}"
