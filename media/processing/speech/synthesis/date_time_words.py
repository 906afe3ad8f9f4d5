"""Dates and times of day as words, in English; other languages are left to the synthesizer."""

import re
from decimal import Decimal

from media.processing.speech.language_tags import primary_language
from media.processing.speech.speech_plan import DATE_FORMATS, TIME_FORMATS
from media.processing.speech.synthesis.number_words import number_words

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
CENTURY_PIVOT = 70
"""A two-digit year below this is in this century."""

TIME = re.compile(
    r"(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d\d))?(?:[:.](?P<second>\d\d))?\s*(?:(?P<half>[ap])\.?m\.?)?",
    re.IGNORECASE,
)
COMPACT_TIME = re.compile(r"(\d{1,2})(\d\d)")
DURATION = re.compile(r"(?:(?P<minutes>\d{1,4})['′])?(?:(?P<seconds>\d{1,4})(?:\"|″|''))?")


def date_words(text: str, format: str | None, language: str) -> str | None:
    """Return a date in words.

    `format` names the fields in their order: mdy, ymd, dm, y, …; if None, it is guessed.
    """
    if primary_language(language) != "en":
        return None
    order = (format or _guess_order(text, language)).lower()
    if order not in DATE_FORMATS:
        return None
    fields = re.findall(r"\d+|[A-Za-z]+", text)
    if len(fields) == 1 and len(order) > 1:
        fields = _split_digits(fields[0], order)
    if len(fields) != len(order):
        return None
    values = {kind: _parse_field(kind, field) for kind, field in zip(order, fields, strict=True)}
    if None in values.values():
        return None
    return _say_date(order, {kind: value for kind, value in values.items() if value is not None})


def _guess_order(text: str, language: str) -> str:
    if re.match(r"\d{4}(\D|\d{4}$)", text.strip()):
        return "ymd" if len(re.findall(r"\d+", text)) != 2 else "ym"
    if re.match(r"\d+\D+[A-Za-z]", text.strip()) or language.lower() in ("en-gb", "en-au", "en-nz", "en-ie"):
        return "dmy" if re.search(r"\d{2,4}\s*$", text) else "dm"
    return "mdy" if len(re.findall(r"\w+", text)) != 2 else "md"


def _split_digits(digits: str, order: str) -> list[str]:
    """Split digits without separators, such as 20261123, into fields."""
    year = len(digits) - 2 * (len(order) - 1) if "y" in order else 2
    fields, position = [], 0
    for kind in order:
        width = year if kind == "y" else 2
        fields.append(digits[position : position + width])
        position += width
    return fields if all(fields) and position == len(digits) else []


def _parse_field(kind: str, field: str) -> int | None:
    if not field.isdecimal():
        return _month_by_name(field) if kind == "m" else None
    value = int(field[:6])
    if kind == "y":
        return value + (2000 if value < CENTURY_PIVOT else 1900) if len(field) == 2 else value
    return value if 1 <= value <= (12 if kind == "m" else 31) else None


def _month_by_name(name: str) -> int | None:
    found = [position for position, month in enumerate(MONTHS, 1) if month.lower().startswith(name.lower())]
    return found[0] if len(name) >= 3 and found else None


def _say_date(order: str, values: dict[str, int]) -> str | None:
    month = MONTHS[values["m"] - 1] if "m" in values else ""
    day = number_words(Decimal(values["d"]), "en", to="ordinal") if "d" in values else ""
    year = _say_year(values["y"]) if "y" in values else ""
    day_first = month and day and order.index("d") < order.index("m") and order != "ydm"
    words = f"the {day} of {month}" if day_first else f"{month} {day}".strip()
    return f"{words}, {year}" if day and year else f"{words} {year}".strip()


def _say_year(year: int) -> str:
    if 2000 <= year < 2010:
        return (number_words(Decimal(year), "en") or "").replace(" and ", " ")
    return number_words(Decimal(year), "en", to="year") or str(year)


def time_words(text: str, format: str | None, language: str) -> str | None:
    """Return a time in words.

    `format` is `hms12` or `hms24`; without it, the text decides. Durations such as `1'21"` are read too.
    """
    if primary_language(language) != "en":
        return None
    text = text.strip()
    if duration := DURATION.fullmatch(text):
        return _say_duration(duration["minutes"], duration["seconds"])
    if (format or "").lower() in TIME_FORMATS and (compact := COMPACT_TIME.fullmatch(text)):
        text = f"{compact[1]}:{compact[2]}"
    found = TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    am_pm = (found["half"] or "").lower()
    if hour > (12 if am_pm else 24) or minute > 59 or second > 59:
        return None
    is_24 = (format or "").lower() == "hms24" and not am_pm
    words = _say_24_hour(hour, minute) if is_24 else _say_12_hour(hour, minute, am_pm)
    return f"{words} and {_quantity_words(second, 'second')}" if found["second"] and second else words


def _say_24_hour(hour: int, minute: int) -> str:
    if minute == 0:
        return f"{_cardinal_words(hour)} hundred"
    return f"{_cardinal_words(hour)} {_say_minutes(minute)}"


def _say_12_hour(hour: int, minute: int, am_pm: str) -> str:
    if not am_pm and (hour > 12 or hour == 0):
        am_pm = "p" if 12 <= hour < 24 else "a"
    tail = f" {am_pm.upper()} M" if am_pm else ""
    named = _cardinal_words(hour % 12 or 12)
    if minute:
        return f"{named} {_say_minutes(minute)}{tail}"
    return named + (tail or " o'clock")


def _say_minutes(minute: int) -> str:
    return f"oh {_cardinal_words(minute)}" if minute < 10 else _cardinal_words(minute)


def _say_duration(minutes: str | None, seconds: str | None) -> str | None:
    parts = [
        _quantity_words(int(value), unit)
        for value, unit in ((minutes, "minute"), (seconds, "second"))
        if value
    ]
    return " and ".join(parts) or None


def _quantity_words(number: int, unit: str) -> str:
    return f"{_cardinal_words(number)} {unit}{'' if number == 1 else 's'}"


def _cardinal_words(number: int) -> str:
    return number_words(Decimal(number), "en") or str(number)
