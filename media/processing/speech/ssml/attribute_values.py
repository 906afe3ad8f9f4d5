"""SSML attribute values: parsed into numbers, and rewritten as SSML 1.1 spells them.

The parsers also read what documents of SSML 1.0 and of other vendors contain, and return None for what they
cannot read. Those that rewrite a value return it as SSML 1.1 spells it, or None.
"""

import math
import re

RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "fast": 1.25, "x-fast": 1.6, "default": 1.0}
PITCHES = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "high": 3.0, "x-high": 6.0, "default": 0.0}
VOLUMES = {
    "silent": -math.inf,
    "x-soft": -12.0,
    "soft": -6.0,
    "medium": 0.0,
    "loud": 4.0,
    "x-loud": 8.0,
    "default": 0.0,
}
STRENGTHS = {"none": 0, "x-weak": 100, "weak": 200, "medium": 350, "strong": 700, "x-strong": 1200}

SLOWEST, FASTEST = 0.25, 4.0
PITCH_RANGE = 12.0
QUIETEST, LOUDEST = -40.0, 12.0
LONGEST_BREAK = 10_000
"""The most milliseconds of one break, and of consecutive breaks with nothing spoken between them."""

_TYPICAL_HZ = 150.0
"""Between a low and a high voice: hertz can only be approximated while the voice is unknown."""

_NUMBER = re.compile(r"([+-]?)([0-9]{1,5}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})(%|st|hz|db|ms|s|)", re.IGNORECASE)


def parse_rate(value: str) -> float | None:
    """Parse a rate into a factor: `slow`, `80%`, `+10%`, `1.2`."""
    if (label := RATES.get(value)) is not None:
        return label
    sign, number, unit = _parse(value)
    if unit == "%":
        factor = (100 + number if sign else number) / 100
    elif unit == "" and not sign and 0 < number <= 10:
        factor = number
    else:
        return None
    return min(max(factor, SLOWEST), FASTEST)


def parse_pitch(value: str) -> float | None:
    """Parse a pitch into semitones: `high`, `+2st`, `-10%`; `+20Hz` and `180Hz` as for an average voice."""
    if (label := PITCHES.get(value)) is not None:
        return label
    sign, number, unit = _parse(value)
    if unit == "st":
        semitones = number
    elif unit == "%" and sign:
        semitones = _semitones(1 + number / 100)
    elif unit == "hz":
        semitones = _semitones((_TYPICAL_HZ + number if sign else number) / _TYPICAL_HZ)
    else:
        return None
    return clamp_pitch(semitones)


def parse_volume(value: str) -> float | None:
    """Parse a volume into decibels, -inf for silence.

    Reads `loud`, `-6dB`, `+20%`, and SSML 1.0's 0 to 100, where 100 is full volume.
    """
    if (label := VOLUMES.get(value)) is not None:
        return label
    sign, number, unit = _parse(value)
    if unit == "db":
        return clamp_volume(number)
    if unit == "%":
        factor = (100 + number if sign else number) / 100
    elif unit == "" and not sign and number <= 100:
        factor = number / 100
    else:
        return None
    return clamp_volume(20 * math.log10(factor)) if factor > 0 else -math.inf


def parse_milliseconds(value: str) -> int | None:
    """Parse a time into milliseconds, at most ten seconds: `250ms`, `1.5s`."""
    sign, number, unit = _parse(value)
    if sign == "-" or unit not in ("ms", "s"):
        return None
    return min(round(number * (1000 if unit == "s" else 1)), LONGEST_BREAK)


def normalize_rate(value: str) -> str | None:
    value = _fold(value)
    factor = parse_rate(value)
    return value if value in RATES else None if factor is None else f"{_format_number(factor * 100)}%"


def normalize_pitch(value: str) -> str | None:
    value = _fold(value)
    if value in PITCHES or parse_pitch(value) is None:
        return value if value in PITCHES else None
    sign, number, unit = _parse(value)
    if unit == "hz":
        return f"{sign}{_format_number(abs(number))}Hz"
    return f"{sign or '+'}{_format_number(abs(number))}{unit}"


def normalize_volume(value: str) -> str | None:
    value = _fold(value)
    decibels = parse_volume(value)
    if value in VOLUMES or decibels is None:
        return value if value in VOLUMES else None
    if decibels == -math.inf:
        return "silent"
    return f"{'-' if decibels < 0 else '+'}{_format_number(abs(decibels))}dB"


def normalize_time(value: str) -> str | None:
    milliseconds = parse_milliseconds(_fold(value))
    return None if milliseconds is None else f"{milliseconds}ms"


def clamp_rate(factor: float) -> float:
    return round(min(max(factor, SLOWEST), FASTEST), 3)


def clamp_pitch(semitones: float) -> float:
    return round(min(max(semitones, -PITCH_RANGE), PITCH_RANGE), 2)


def clamp_volume(decibels: float) -> float:
    return round(min(max(decibels, QUIETEST), LOUDEST), 2)


def _fold(value: str) -> str:
    return value.replace(" ", "").lower()


def _parse(value: str) -> tuple[str, float, str]:
    """Return the sign as written, the signed number and the unit, which is `?` if the value is no number."""
    if (match := _NUMBER.fullmatch(value)) is None:
        return "", 0.0, "?"
    sign, digits, unit = match.groups()
    return sign, -float(digits) if sign == "-" else float(digits), unit.lower()


def _semitones(factor: float) -> float:
    return 12 * math.log2(factor) if factor > 0 else -PITCH_RANGE


def _format_number(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
