"""The languages to speak letters in that the voice's own language does not use."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from media.processing.speech.language_tags import primary_language


class WritingSystem(NamedTuple):
    letters: str
    """Ranges, as in a regular expression's character class."""
    language: str
    """The language to speak it in if the voice's own does not use it."""
    native: frozenset[str]
    """The languages written in it."""


def _script(letters: str, language: str, *others: str) -> WritingSystem:
    return WritingSystem(letters, language, frozenset((language, *others)))


CYRILLIC = (
    "be", "bg", "uk", "mk", "sr", "hr", "bs", "kk", "ky", "tt", "ba", "cv", "nog", "tk", "az", "uz",
)  # fmt: skip
SCRIPTS = (
    _script("\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d", "ja"),
    _script("\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff", "cmn", "yue", "hak", "ja"),
    _script("\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3", "ko"),
    _script("\u0400-\u052f", "ru", *CYRILLIC),
    _script("\u0370-\u03ff\u1f00-\u1fff", "el", "grc"),
    _script("\u0530-\u058f", "hy", "hyw"),
    _script("\u0590-\u05ff", "he"),
    _script("\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc", "ar", "fa", "ur", "sd", "ug", "ku"),
    _script("\u0900-\u097f", "hi", "mr", "ne", "kok"),
    _script("\u0980-\u09ff", "bn", "as", "bpy"),
    _script("\u0a00-\u0a7f", "pa"),
    _script("\u0a80-\u0aff", "gu"),
    _script("\u0b00-\u0b7f", "or"),
    _script("\u0b80-\u0bff", "ta"),
    _script("\u0c00-\u0c7f", "te"),
    _script("\u0c80-\u0cff", "kn"),
    _script("\u0d00-\u0d7f", "ml"),
    _script("\u0d80-\u0dff", "si"),
    _script("\u0e00-\u0e7f", "th"),
    _script("\u1000-\u109f", "my", "shn"),
    _script("\u10a0-\u10ff", "ka"),
    _script("\u1200-\u137f", "am", "ti"),
    _script("\u13a0-\u13ff", "chr"),
)
KANA = SCRIPTS[0]
HAN = SCRIPTS[1]
LONE_LETTER = re.compile(r"(?<![\u0370-\u03ff])[\u0370-\u03ff](?![\u0370-\u03ff])")
"""A Greek letter by itself is a symbol, for which each language has a name."""


class ScriptRun(NamedTuple):
    words: str
    language: str | None
    """None means the voice's own."""


def split_by_language(words: str, language: str) -> Iterator[ScriptRun]:
    """Yield `words` cut where the language changes; what is in no script stays with what precedes it."""
    voice_language = primary_language(language)
    has_kana = re.search(f"[{KANA.letters}]", words) is not None
    start, speaker = 0, None
    for index, letter in enumerate(words):
        if not letter.isalpha():
            continue
        wanted = _language_for(letter, voice_language, has_kana)
        if wanted == "el" and LONE_LETTER.match(words, index):
            wanted = None
        if wanted != speaker:
            if words[start:index].strip():
                yield ScriptRun(words[start:index], speaker)
                start = index
            speaker = wanted
    if words[start:].strip():
        yield ScriptRun(words[start:], speaker)


def _language_for(letter: str, voice_language: str, has_kana: bool) -> str | None:
    if letter < "\u0370":
        return None
    for script, pattern in _PATTERNS:
        if pattern.match(letter):
            if voice_language in script.native:
                return None
            return KANA.language if script is HAN and has_kana else script.language
    return None


_PATTERNS = tuple((script, re.compile(f"[{script.letters}]")) for script in SCRIPTS)
