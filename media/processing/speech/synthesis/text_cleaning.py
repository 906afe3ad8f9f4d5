"""Written text made ready to be read aloud: without markup, symbols and pictures.

Nothing passes that a synthesizer would take for one of its own commands (Piper's `[[phonemes]]`, eSpeak's
markup).
"""

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from media.processing.speech.language_tags import primary_language
from media.processing.speech.sentence_splitter import is_code
from media.processing.speech.synthesis.currency_words import replace_amounts
from media.processing.speech.synthesis.date_time_words import date_words


class Rule(NamedTuple):
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]


def _rule(pattern: str, replacement: str | Callable[[re.Match[str]], str], flags: int = 0) -> Rule:
    return Rule(re.compile(pattern, flags), replacement)


LINES = (
    _rule(r"^[ \t]*([-*_=][ \t]*){3,}$", " ", re.M),
    _rule(r"^[ \t]*\|?[ \t:|-]*-[ \t:|-]*\|[ \t:|-]*$", " ", re.M),
    _rule(r"^[ \t]*\|(.*?)\|?[ \t]*$", lambda row: row[1].replace("|", ","), re.M),
    _rule(r"^[ \t]*(?:>[ \t]*)+", "", re.M),
    _rule(r"^[ \t]*#{1,6}[ \t]+", "", re.M),
    _rule(r"^[ \t]*[-*+•‣◦▪][ \t]+(\[[ xX]\][ \t]+)?", "", re.M),
    _rule(r"^[ \t]*(\d{1,3})[.)][ \t]+", r"\1, ", re.M),
)
LINKS = (
    _rule(r"!?\[([^\[\]]{0,500})\]\([^()\s]{0,2000}(?:[ \t]+\"[^\"]{0,500}\")?\)", r"\1"),
    _rule(r"\bhttps?://(?:www\.)?([\w.-]{1,253}\w)[^\s)>\]\"']*[\w/]", r"\1", re.I),
    _rule(r"\bhttps?://(?:www\.)?", "", re.I),
)
ENGLISH = (
    _rule(r"\be\.\s?g\.", "for example", re.I),
    _rule(r"\bi\.\s?e\.", "that is", re.I),
    _rule(r"\bMr\.", "Mister"),
    _rule(r"\bMrs\.", "Missus"),
    _rule(r"\bDr\.(?=\s+[A-Z])", "Doctor"),
    _rule(r"\bProf\.", "Professor"),
    _rule(r"\betc\.(?=\s+[a-z])", "etcetera"),
    _rule(r"\bvs\.", "versus"),
    _rule(r"#(?=\d)", "number "),
    _rule(r"(?<=[\w)])\s*<=\s*(?=[\w(-])", " is at most "),
    _rule(r"(?<=[\w)])\s*>=\s*(?=[\w(-])", " is at least "),
    _rule(r"(?<=[\w)])\s+<\s+(?=[\w(-])", " is less than "),
    _rule(r"(?<=[\w)])\s+>\s+(?=[\w(-])", " is greater than "),
    _rule(r"\b\d{4}-\d\d-\d\d\b", lambda date: date_words(date[0], "ymd", "en") or date[0]),
    _rule(r"(?<![\d–/.-])(\d{1,9})\s?[–-]\s?(\d{1,9})(?![\d–/-])", r"\1 to \2"),
)
MARKS = (
    _rule(r"(?<=\w)[/_](?=[^\W\d])|(?<=[^\W\d])[/_](?=\w)", " "),
    _rule(r"</?([A-Za-z][\w:-]{0,40})[^<>]{0,200}>", r" \1 "),
    _rule(r"\s[–—-]+\s", ", "),
    _rule(r"(?<=\w)—+(?=\w)", ", "),
    _rule(r"[-–—]{2,}", " "),
    _rule(r"\.{2,}", "."),
    _rule(r"([!?,;:…])[!?,;:….]+", r"\1"),
    _rule(r"\$(?!\s?\d)|(?<!\w)@(?!\w)", " "),
)
SPACES = re.compile(r"\s+")
SPACE_BEFORE_MARK = re.compile(r"\s+(?=[.,;:!?](?!\w))")
SPOKEN_SYMBOLS = frozenset("%&+=@°×÷±≈≠≤≥√∞€£¥₹$'\"’‘“”.,;:!?…-–—()/¿¡«»„‚。！？、，；：।؟،؛۔·")
JOINERS = frozenset("\u200c\u200d")


def normalize_text(text: str, language: str) -> str:
    """Return the words and punctuation on one line, or "" if there is nothing to speak."""
    if is_code(text):
        return ""
    for rule in (*LINES, *LINKS):
        text = rule.pattern.sub(rule.replacement, text)
    if primary_language(language) == "en":
        text = replace_amounts(text)
        for rule in ENGLISH:
            text = rule.pattern.sub(rule.replacement, text)
    for rule in MARKS:
        text = rule.pattern.sub(rule.replacement, text)
    text = SPACE_BEFORE_MARK.sub("", SPACES.sub(" ", _clean_letters(text))).strip()
    return text if any(letter.isalnum() for letter in text) else ""


def _clean_letters(text: str) -> str:
    return "".join(
        _clean_letter(letter, text[index - 1] if index else " ")
        for index, letter in enumerate(text)
        if letter != "\ufe0f"
    )


def _clean_letter(letter: str, before: str) -> str:
    category = unicodedata.category(letter)
    if category[0] in "LN" or letter in SPOKEN_SYMBOLS:
        return letter
    if category in ("Mn", "Mc"):
        return letter if unicodedata.category(before)[0] in "LM" or before in JOINERS else ""
    if category == "Cf":
        joins = letter in JOINERS and unicodedata.category(before) in ("Lo", "Mn", "Mc")
        return letter if joins else ""
    return "" if letter in "*_`~" or category == "Me" else " "
