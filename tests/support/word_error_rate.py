"""The word error rate: how well what was said was recognized."""

import re
import unicodedata

from num2words import num2words

_ABBREVIATIONS = {
    "mr": "mister",
    "mrs": "missis",
    "dr": "doctor",
    "st": "saint",
    "ok": "okay",
    "vs": "versus",
}
_CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds"}
_MONEY = re.compile(r"([$€£])\s?(\d[\d,]*(?:\.\d+)?)")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:st|nd|rd|th)?\b|\d+")


def word_error_rate(reference: str, heard: str) -> float:
    """Words inserted, omitted or replaced per word of the reference: 0 is perfect, 1 or more is useless.

    Case, punctuation and the way numbers are written do not matter.
    """
    expected, found = normalized_words(reference), normalized_words(heard)
    if not expected:
        raise ValueError("the reference has no words")
    return _distance(expected, found) / len(expected)


def normalized_words(text: str) -> list[str]:
    """The words as they are spoken: `$1,200` becomes `one thousand two hundred dollars`."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    text = _MONEY.sub(lambda money: f"{money[2]} {_CURRENCIES[money[1]]}", text)
    text = text.replace("%", " percent ").replace("&", " and ")
    text = re.sub(r"(\d):00\b", r"\1", text)
    text = _NUMBER.sub(lambda number: f" {_spoken(number[0])} ", text)
    text = re.sub(r"\b(hundred|thousand|million|billion) and\b", r"\1", text)
    words = re.sub(r"[^\w\s]|_", " ", text.replace("'", "")).split()
    return [_ABBREVIATIONS.get(word, word) for word in words]


def _spoken(number: str) -> str:
    digits = number.rstrip("stndrh").replace(",", "")
    if not number[-1].isdigit():
        return str(num2words(int(digits), to="ordinal"))
    if re.fullmatch(r"1[1-9]\d\d|20[1-9]\d", number):
        return str(num2words(int(digits), to="year"))
    return str(num2words(float(digits) if "." in digits else int(digits)))


def _distance(expected: list[str], found: list[str]) -> int:
    """The Levenshtein distance, in words."""
    row = list(range(len(found) + 1))
    for place, word in enumerate(expected, start=1):
        previous, row[0] = row[0], place
        for column, other in enumerate(found, start=1):
            previous, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, previous + (word != other)),
            )
    return row[-1]
