"""The words that are spoken for written text."""

import time

import pytest
from hypothesis import given, strategies

from media.processing.speech.sentence_splitter import split_sentences
from media.processing.speech.speech_plan import InterpretAs
from media.processing.speech.synthesis.ipa import espeak_mnemonics, piper_phonemes
from media.processing.speech.synthesis.phrase_splitter import MAX_PHRASE_LENGTH, split_phrases
from media.processing.speech.synthesis.say_as import say_as_words
from media.processing.speech.synthesis.text_cleaning import normalize_text
from media.processing.speech.synthesis.writing_systems import split_by_language

PHONE = "{}seven eight one, seven seven one, seven seven seven seven{}"


@pytest.mark.parametrize(
    ("text", "interpret_as", "format", "words"),
    [
        ("ABC", "characters", None, "A, B, C"),
        ("a1-b", "characters", None, "A, one, dash, B"),
        ("x@y.z", "characters", None, "X, at, Y, dot, Z"),
        ("1,234", "cardinal", None, "one thousand, two hundred and thirty-four"),
        ("-3.14", "cardinal", None, "minus three point one four"),
        ("0.10", "cardinal", None, "zero point one"),
        ("XIV", "cardinal", None, "fourteen"),
        ("many", "cardinal", None, "many"),
        ("9" * 100, "cardinal", None, "9" * 100),
        ("21", "ordinal", None, "twenty-first"),
        ("3rd", "ordinal", None, "third"),
        ("1.5", "ordinal", None, "1.5"),
        ("1024", "digits", None, "one zero two four"),
        ("1/2", "fraction", None, "one half"),
        ("3/4", "fraction", None, "three quarters"),
        ("5/2", "fraction", None, "five halves"),
        ("2 1/8", "fraction", None, "two and an eighth"),
        ("1½", "fraction", None, "one and a half"),
        ("7/100", "fraction", None, "seven one hundredths"),
        ("1/0", "fraction", None, "1/0"),
        ("11/23/2026", "date", "mdy", "November twenty-third, twenty twenty-six"),
        ("23.11.2026", "date", "dmy", "the twenty-third of November, twenty twenty-six"),
        ("2026-11-23", "date", "ymd", "November twenty-third, twenty twenty-six"),
        ("2026-11-23", "date", None, "November twenty-third, twenty twenty-six"),
        ("20261123", "date", "ymd", "November twenty-third, twenty twenty-six"),
        ("Nov 23, 2026", "date", None, "November twenty-third, twenty twenty-six"),
        ("5/6/07", "date", "mdy", "May sixth, two thousand seven"),
        ("11/1985", "date", "my", "November nineteen eighty-five"),
        ("1985-11", "date", "ym", "November nineteen eighty-five"),
        ("11-23", "date", "md", "November twenty-third"),
        ("23-11", "date", "dm", "the twenty-third of November"),
        ("1900", "date", "y", "nineteen hundred"),
        ("7", "date", "m", "July"),
        ("31", "date", "d", "thirty-first"),
        ("13/13/2026", "date", "mdy", "13/13/2026"),
        ("2026-11-23", "date", "qqq", "2026-11-23"),
        ("2:30pm", "time", "hms12", "two thirty P M"),
        ("2:05", "time", "hms12", "two oh five"),
        ("2:00", "time", None, "two o'clock"),
        ("14:05", "time", "hms24", "fourteen oh five"),
        ("14:00", "time", "hms24", "fourteen hundred"),
        ("14:30", "time", "hms12", "two thirty P M"),
        ("09:30:15", "time", "hms24", "nine thirty and fifteen seconds"),
        ("00:15", "time", "hms12", "twelve fifteen A M"),
        ("12:15", "time", "hms12", "twelve fifteen"),
        ("1430", "time", "hms24", "fourteen thirty"),
        ("1'21\"", "time", None, "one minute and twenty-one seconds"),
        ("25:61", "time", "hms24", "25:61"),
        ("+1 (781) 771-7777", "telephone", None, PHONE.format("plus one, ", "")),
        ("7817717777 ext. 5", "telephone", None, PHONE.format("", ", extension five")),
        ("$45.30", "currency", None, "forty-five dollars and thirty cents"),
        ("$1.01", "currency", None, "one dollar and one cent"),
        ("-$5", "currency", None, "minus five dollars"),
        ("USD 1,000", "currency", None, "one thousand dollars"),
        ("20 GBP", "currency", None, "twenty pounds sterling"),
        ("¥500", "currency", None, "five hundred yen"),
        ("42", "currency", "EUR", "forty-two euro"),
        ("XYZ 5", "currency", None, "XYZ 5"),
        ("", "currency", None, ""),
    ],
)  # fmt: skip
def test_say_as_in_english(text: str, interpret_as: InterpretAs, format: str | None, words: str) -> None:
    assert say_as_words(text, interpret_as, format, "en-US") == words


@pytest.mark.parametrize(
    ("text", "interpret_as", "language", "words"),
    [
        ("1.234,5", "cardinal", "de", "eintausendzweihundertvierunddreißig Komma fünf"),
        ("3", "ordinal", "de-AT", "dritte"),
        ("45,30 €", "currency", "de", "fünfundvierzig Euro und dreißig Cent"),
        ("A1", "characters", "de", "A, eins"),
        ("21", "cardinal", "fr-FR", "vingt et un"),
        ("030 12", "telephone", "de", "null drei null, eins zwei"),
        ("12", "digits", "cmn", "1 2"),
        ("12", "cardinal", "tlh", "12"),
        ("23.11.2026", "date", "de", "23.11.2026"),
        ("14:05", "time", "fr", "14:05"),
        ("3/4", "fraction", "es", "3/4"),
    ],
)
def test_say_as_in_other_languages(text: str, interpret_as: InterpretAs, language: str, words: str) -> None:
    assert say_as_words(text, interpret_as, None, language) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It is **very** _good_, ~~not~~ `bad`.", "It is very good, not bad."),
        ("## A heading", "A heading"),
        ("- an item\n* [ ] another", "an item another"),
        ("1. First", "1, First"),
        ("> quoted", "quoted"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b 1, 2"),
        ("***", ""),
        ("See [the manual](https://example.com/a_b?c=d).", "See the manual."),
        ("![A cat](cat.png)", "A cat"),
        ("Go to https://www.example.com/very/long?x=1&y=2.", "Go to example.com."),
        ("```py\nprint(1)\n```", ""),
        ("Well done! 🎉👍🏽 👨‍👩‍👧 ❤️ 1️⃣", "Well done! 1"),
        ("<b>bold</b>", "b bold b"),
        ("if a < b", "if a is less than b"),
        ("x >= 3", "x is at least 3"),
        ("[[həlˈoʊ]]", "həlˈoʊ"),
        ("snake_case and/or C++", "snake case and or C++"),
        ("AT&T is up 5%.", "AT&T is up 5%."),
        ("Mr. Smith, e.g., likes it", "Mister Smith, for example, likes it"),
        ("It is $4.50, or $3 million.", "It is four dollars and fifty cents, or three million dollars."),
        ("pages 10-20", "pages 10 to 20"),
        ("on 2026-11-23", "on November twenty-third, twenty twenty-six"),
        ("this — that", "this, that"),
        ("Really?!!", "Really?"),
        ("wait...", "wait."),
        ("a\x00b\x07 c\u200b\ufeffd", "a b cd"),
        ("\u202eabc\u202c", "abc"),
        ("don’t “quote”", "don’t “quote”"),
        ("naïve café", "naïve café"),
        ("नमस्ते", "नमस्ते"),
        ("می‌خواهم", "می‌خواهم"),
    ],
)  # fmt: skip
def test_text_is_spoken_without_its_markup(text: str, words: str) -> None:
    assert normalize_text(text, "en") == words


@pytest.mark.parametrize(
    "text", ["", " \n", "...", "?!", "😀", "\x00\x00", "---", "`", "\u0301\u0301", "\u200d"]
)
def test_nothing_is_spoken_for_text_without_words(text: str) -> None:
    assert normalize_text(text, "en") == ""


def test_other_languages_get_no_english_words() -> None:
    assert normalize_text("Er kostet $5, Dr. Maier, S. 10-20", "de") == "Er kostet $5, Dr. Maier, S. 10-20"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One. ", "Two! ", "Three?"]),
        ("He said “Go.” Then he went.", ["He said “Go.” ", "Then he went."]),
        ("Mr. Smith met J. R. Jones, e.g. here.", ["Mr. Smith met J. R. Jones, e.g. here."]),
        ("It is 3.5 or example.com now. Yes.", ["It is 3.5 or example.com now. ", "Yes."]),
        ("- one\n- two\n", ["- one\n", "- two\n"]),
        ("1. First thing. Second.\n", ["1. First thing. ", "Second.\n"]),
        ("你好。世界！", ["你好。", "世界！"]),
        ("Look:\n```\na. B\n\nc\n```\nDone.", ["Look:\n", "```\na. B\n\nc\n```\n", "Done."]),
        ("```\nnever closed. At all", ["```\nnever closed. At all"]),
        ("", []),
    ],
)  # fmt: skip
def test_text_is_split_into_sentences(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


def test_a_wrapped_line_continues_its_sentence() -> None:
    text = "This is a line that is long enough to have been wrapped by an editor\nand it goes on here."
    assert split_sentences(text) == [text]


def test_a_very_long_sentence_is_broken_at_a_clause() -> None:
    clause = "when the sun had gone down over the bay, "
    text = clause * 4 + "he told them about the sea."
    assert list(split_phrases(text)) == [clause * 3, clause + "he told them about the sea."]
    assert list(split_phrases(clause * 3)) == [clause * 3]


HOSTILE = [
    "a" * 10_000, "9" * 10_000, ".!" * 5_000, "[" * 10_000, "![a" * 3_000, "`" * 10_000, "- " * 5_000,
    "|" * 10_000, "<a" * 5_000, "a. " * 3_000, "https://" * 1_200, "1-" * 5_000, "# " * 5_000,
    " " * 10_000 + "x", "*" * 10_000, "-" * 10_000 + "x", "$1" * 2_000, "\n" * 10_000, "a\n" * 5_000,
    "http://" + "a." * 5_000, "你" * 10_000, "\u0301" * 10_000, "((" * 5_000, "e.g." * 2_500, "😀" * 5_000,
    "a, " * 3_000, "```\n" * 2_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:8] for text in HOSTILE])
def test_hostile_text_is_split_completely_into_short_phrases_quickly(text: str) -> None:
    began = time.process_time()
    found = list(split_phrases(text))
    assert "".join(found) == text
    assert all(len(phrase) <= MAX_PHRASE_LENGTH or phrase.startswith("```") for phrase in found)
    for phrase in found:
        words = normalize_text(phrase, "en")
        assert "[[" not in words
        assert "<" not in words
    assert time.process_time() - began < 2


LETTERS = strategies.one_of(strategies.characters(), strategies.sampled_from("[]<>`#*-. \n,a1"))


@given(strategies.text(LETTERS))
def test_any_text_keeps_every_letter_and_contains_no_commands(text: str) -> None:
    found = list(split_phrases(text))
    assert "".join(found) == text
    for phrase in found:
        for language in ("en", "de"):
            words = normalize_text(phrase, language)
            assert not set(words) & set("[]<>{}\\`*\n\0")
            assert "".join(run.words for run in split_by_language(words, language)) == words


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("Hello there", "en", [("Hello there", None)]),
        ("Say Привет to them", "en", [("Say ", None), ("Привет ", "ru"), ("to them", None)]),
        ("你好 friend", "en", [("你好 ", "cmn"), ("friend", None)]),
        ("東京タワー", "en", [("東京タワー", "ja")]),
        ("你好", "zh-CN", [("你好", None)]),
        ("Привет", "bg", [("Привет", None)]),
        ("π is 3", "en", [("π is 3", None)]),
        ("καλημέρα", "en", [("καλημέρα", "el")]),
        ("שלום 5", "en", [("שלום 5", "he")]),
    ],
)  # fmt: skip
def test_text_in_another_script_is_assigned_to_another_language(
    words: str, language: str, expected: list[tuple[str, str | None]]
) -> None:
    assert list(split_by_language(words, language)) == expected


def test_ipa_for_piper_omits_what_the_model_does_not_know() -> None:
    known = frozenset("təˈmeɪtoʊ .ː")
    assert "".join(piper_phonemes("t͡əˈmeɪ.toʊ ʘ$", known, is_english=True)) == "təˈmeɪtoʊ "


def test_ipa_for_espeak() -> None:
    assert espeak_mnemonics("təˈmeɪtoʊ") == "t@'meItoU"
    assert espeak_mnemonics("tʃɜːtʃ") == "tS3:tS"
    assert espeak_mnemonics("ʘ") is None
    assert espeak_mnemonics("]][[") is None
