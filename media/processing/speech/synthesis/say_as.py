"""The words to speak for the text of a `say-as`."""

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal

from media.processing.speech.language_tags import primary_language
from media.processing.speech.speech_plan import InterpretAs
from media.processing.speech.synthesis.currency_words import currency_words
from media.processing.speech.synthesis.date_time_words import date_words, time_words
from media.processing.speech.synthesis.number_words import digit_words, number_words, read_number

SIGNS = {
    "-": "dash", ".": "dot", ",": "comma", "@": "at", "/": "slash", "\\": "backslash", "_": "underscore",
    "#": "hash", "*": "star", "+": "plus", "&": "and", "%": "percent", "=": "equals", ":": "colon",
    ";": "semicolon", "!": "exclamation mark", "?": "question mark", "'": "apostrophe", '"': "quote",
    "(": "open parenthesis", ")": "close parenthesis", "<": "less than", ">": "greater than", "~": "tilde",
    "[": "open bracket", "]": "close bracket", "{": "open brace", "}": "close brace", "$": "dollar",
    "|": "bar", "^": "caret", "`": "backtick",
}  # fmt: skip
FRACTION = re.compile(r"(?:(?P<whole>-?\d{1,9})[\s+]+)?(?P<over>-?\d{1,9})\s*[/⁄]\s*(?P<under>\d{1,9})")
EXTENSION = re.compile(r"\s*(?:ext(?:ension)?\.?|x)\s*(?=\d)", re.IGNORECASE)
GROUPS = {7: (3, 4), 10: (3, 3, 4), 11: (1, 3, 3, 4)}
"""How an American groups a telephone number that is written without separators."""


def say_as_words(text: str, interpret_as: InterpretAs, format: str | None, language: str) -> str:
    """Return the words, or `text` itself if it is not of that kind or the language's words are not known."""
    return _READERS[interpret_as](text.strip(), format, language) or text


def _characters(text: str, format: str | None, language: str) -> str:
    spoken = (_character(character, language) for character in text if not character.isspace())
    return ", ".join(word for word in spoken if word)


def _character(character: str, language: str) -> str:
    if character.isdecimal():
        return digit_words(character, language)
    if character.isalnum():
        return character.upper() if len(character.upper()) == 1 else character
    if primary_language(language) != "en":
        return character
    return SIGNS.get(character) or unicodedata.name(character, "").lower()


def _cardinal(text: str, format: str | None, language: str) -> str | None:
    number = read_number(text, language)
    return None if number is None else number_words(number, language)


def _ordinal(text: str, format: str | None, language: str) -> str | None:
    number = read_number(re.sub(r"(?<=\d)(st|nd|rd|th|\.|º|ª)$", "", text), language)
    if number is None or number != number.to_integral_value() or number < 0:
        return None
    return number_words(number, language, to="ordinal")


def _digits(text: str, format: str | None, language: str) -> str:
    return digit_words(text, language)


def _fraction(text: str, format: str | None, language: str) -> str | None:
    text = unicodedata.normalize("NFKC", re.sub(r"(?<=\d)(?=[½⅓⅔¼¾⅕-⅞])", " ", text))
    found = FRACTION.fullmatch(text)
    if found is None or primary_language(language) != "en" or int(found["under"]) == 0:
        return None
    part = _fraction_words(int(found["over"]), int(found["under"]))
    if found["whole"] is None:
        return part
    if part.startswith("one "):
        part = f"{'an' if part[4] in 'aeiou' else 'a'} {part[4:]}"
    return f"{number_words(Decimal(found['whole']), language)} and {part}"


def _fraction_words(over: int, under: int) -> str:
    top = number_words(Decimal(over), "en")
    if under == 1:
        return f"{top} over one"
    name = {2: "half", 4: "quarter"}.get(under) or number_words(Decimal(under), "en", to="ordinal")
    if abs(over) == 1:
        return f"{top} {name}"
    return f"{top} {'halves' if under == 2 else f'{name}s'}"


def _telephone(text: str, format: str | None, language: str) -> str | None:
    is_english = primary_language(language) == "en"
    number, *extension = EXTENSION.split(text, maxsplit=1)
    groups = [group for found in re.findall(r"\d+|[A-Za-z]+", number) for group in _group_digits(found)]
    spoken = ", ".join(digit_words(group, language) if group.isdecimal() else group for group in groups)
    if not groups:
        return None
    if number.lstrip(" (").startswith("+"):
        spoken = f"{'plus' if is_english else '+'} {spoken}"
    if extension:
        spoken += f", {'extension' if is_english else ''} {digit_words(extension[0], language)}"
    return spoken


def _group_digits(digits: str) -> list[str]:
    if not digits.isdecimal() or len(digits) <= 4:
        return [digits]
    widths = GROUPS.get(len(digits)) or (3,) * (-(-len(digits) // 3))
    ends = [sum(widths[: at + 1]) for at in range(len(widths))]
    return [digits[end - width : end] for end, width in zip(ends, widths, strict=True)]


_READERS: dict[InterpretAs, Callable[[str, str | None, str], str | None]] = {
    "characters": _characters,
    "cardinal": _cardinal,
    "ordinal": _ordinal,
    "digits": _digits,
    "fraction": _fraction,
    "date": date_words,
    "time": time_words,
    "telephone": _telephone,
    "currency": currency_words,
}
