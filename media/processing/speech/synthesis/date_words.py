"""Dates and times of day as words. English; in other languages they are left to the synthesiser."""

import re
from decimal import Decimal

from media.processing.speech.synthesis.number_words import number_words
from media.processing.speech.voices import primary_language

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DATE_FORMATS = frozenset({"mdy", "dmy", "ymd", "ydm", "my", "ym", "md", "dm", "y", "m", "d"})
CENTURY_TURNS = 70
"""A year of two digits below this is of this century."""

TIME = re.compile(
    r"(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d\d))?(?:[:.](?P<second>\d\d))?\s*(?:(?P<half>[ap])\.?m\.?)?",
    re.IGNORECASE,
)
COMPACT_TIME = re.compile(r"(\d{1,2})(\d\d)")
DURATION = re.compile(r"(?:(?P<minutes>\d{1,4})['′])?(?:(?P<seconds>\d{1,4})(?:\"|″|''))?")


def date_words(text: str, format: str | None, language: str) -> str | None:
    """`format` names the fields in their order: mdy, ymd, dm, y, …; None is guessed."""
    if primary_language(language) != "en":
        return None
    order = (format or _guess(text, language)).lower()
    if order not in DATE_FORMATS:
        return None
    fields = re.findall(r"\d+|[A-Za-z]+", text)
    if len(fields) == 1 and len(order) > 1:
        fields = _widths(fields[0], order)
    if len(fields) != len(order):
        return None
    values = {kind: _value(kind, field) for kind, field in zip(order, fields, strict=True)}
    if None in values.values():
        return None
    return _date(order, {kind: value for kind, value in values.items() if value is not None})


def _guess(text: str, language: str) -> str:
    if re.match(r"\d{4}(\D|\d{4}$)", text.strip()):
        return "ymd" if len(re.findall(r"\d+", text)) != 2 else "ym"
    if re.match(r"\d+\D+[A-Za-z]", text.strip()) or language.lower() in ("en-gb", "en-au", "en-nz", "en-ie"):
        return "dmy" if re.search(r"\d{2,4}\s*$", text) else "dm"
    return "mdy" if len(re.findall(r"\w+", text)) != 2 else "md"


def _widths(digits: str, order: str) -> list[str]:
    """The fields of 20261123."""
    year = len(digits) - 2 * (len(order) - 1) if "y" in order else 2
    fields, at = [], 0
    for kind in order:
        width = year if kind == "y" else 2
        fields.append(digits[at : at + width])
        at += width
    return fields if all(fields) and at == len(digits) else []


def _value(kind: str, field: str) -> int | None:
    if not field.isdecimal():
        return _month_by_name(field) if kind == "m" else None
    value = int(field[:6])
    if kind == "y":
        return value + (2000 if value < CENTURY_TURNS else 1900) if len(field) == 2 else value
    return value if 1 <= value <= (12 if kind == "m" else 31) else None


def _month_by_name(name: str) -> int | None:
    found = [at for at, month in enumerate(MONTHS, 1) if month.lower().startswith(name.lower())]
    return found[0] if len(name) >= 3 and found else None


def _date(order: str, values: dict[str, int]) -> str | None:
    month = MONTHS[values["m"] - 1] if "m" in values else ""
    day = number_words(Decimal(values["d"]), "en", to="ordinal") if "d" in values else ""
    year = _year(values["y"]) if "y" in values else ""
    day_first = month and day and order.index("d") < order.index("m") and order != "ydm"
    said = f"the {day} of {month}" if day_first else f"{month} {day}".strip()
    return f"{said}, {year}" if day and year else f"{said} {year}".strip()


def _year(year: int) -> str:
    if 2000 <= year < 2010:
        return (number_words(Decimal(year), "en") or "").replace(" and ", " ")
    return number_words(Decimal(year), "en", to="year") or str(year)


def time_words(text: str, format: str | None, language: str) -> str | None:
    """`hms12` or `hms24`; with neither the text tells. Also durations such as 1'21\"."""
    if primary_language(language) != "en":
        return None
    text = text.strip()
    if duration := DURATION.fullmatch(text):
        return _duration(duration["minutes"], duration["seconds"])
    if (format or "").lower() in ("hms24", "hms12") and (compact := COMPACT_TIME.fullmatch(text)):
        text = f"{compact[1]}:{compact[2]}"
    found = TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    half = (found["half"] or "").lower()
    if hour > (12 if half else 24) or minute > 59 or second > 59:
        return None
    is_24 = (format or "").lower() == "hms24" and not half
    said = _on_24(hour, minute) if is_24 else _on_12(hour, minute, half)
    return f"{said} and {_counted(second, 'second')}" if found["second"] and second else said


def _on_24(hour: int, minute: int) -> str:
    if minute == 0:
        return f"{_cardinal(hour)} hundred"
    return f"{_cardinal(hour)} {_minutes(minute)}"


def _on_12(hour: int, minute: int, half: str) -> str:
    if not half and (hour > 12 or hour == 0):
        half = "p" if 12 <= hour < 24 else "a"
    tail = f" {half.upper()} M" if half else ""
    named = _cardinal(hour % 12 or 12)
    if minute:
        return f"{named} {_minutes(minute)}{tail}"
    return named + (tail or " o'clock")


def _minutes(minute: int) -> str:
    return f"oh {_cardinal(minute)}" if minute < 10 else _cardinal(minute)


def _duration(minutes: str | None, seconds: str | None) -> str | None:
    parts = [
        _counted(int(value), unit) for value, unit in ((minutes, "minute"), (seconds, "second")) if value
    ]
    return " and ".join(parts) or None


def _counted(number: int, unit: str) -> str:
    return f"{_cardinal(number)} {unit}{'' if number == 1 else 's'}"


def _cardinal(number: int) -> str:
    return number_words(Decimal(number), "en") or str(number)
