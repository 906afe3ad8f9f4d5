"""Numbers as words, in the languages num2words knows."""

import re
from decimal import Decimal, InvalidOperation
from typing import Literal

from media.processing.speech.language_tags import primary_language

MAX_DIGITS = 60
"""A longer number is not an amount that anybody would say."""

NUMBER = re.compile(r"[+-]?[\d.,'’\s]*\d")
ROMAN = re.compile(r"(?=.)M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})", re.IGNORECASE)
ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def number_words(
    number: Decimal, language: str, to: Literal["cardinal", "ordinal", "year"] = "cardinal"
) -> str | None:
    """Return the number in words, or None if the language or the size is not supported."""
    from num2words import num2words

    if len(str(number)) > MAX_DIGITS:
        return None
    is_whole = number.as_tuple().exponent == 0
    try:
        words: str = num2words(int(number) if is_whole else number, lang=language.replace("-", "_"), to=to)
    except (NotImplementedError, OverflowError, ValueError, TypeError, KeyError, IndexError):
        return None
    return words


def digit_words(text: str, language: str) -> str:
    """Return each digit by itself, in words if the language is known."""
    return " ".join(
        number_words(Decimal(int(digit)), language) or digit for digit in text if digit.isdecimal()
    )


def read_number(text: str, language: str) -> Decimal | None:
    """Parse a decimal number with the language's separators, or a Roman one; None if it is neither."""
    text = text.strip()
    if ROMAN.fullmatch(text):
        return Decimal(_parse_roman(text.upper()))
    if not NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(_normalize(re.sub(r"[\s'’]", "", text), language))
    except InvalidOperation:
        return None


def _normalize(text: str, language: str) -> str:
    """Return the digits with a point before the decimals, and nothing else."""
    point, group = (".", ",") if primary_language(language) in POINT_LANGUAGES else (",", ".")
    if point not in text and re.fullmatch(rf"[+-]?\d+\{group}(\d{{1,2}}|\d{{4,}})", text):
        return text.replace(group, ".")
    return text.replace(group, "").replace(point, ".")


POINT_LANGUAGES = frozenset({"en", "cmn", "yue", "ja", "ko", "th", "he", "hi", "bn", "ta", "te"})
"""Languages that write 1,234.5; the others write 1.234,5."""


def _parse_roman(text: str) -> int:
    values = [ROMAN_VALUES[letter] for letter in text]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(value if value >= following else -value for value, following in pairs)
