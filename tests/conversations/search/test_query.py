"""What somebody asks for, and where a text has it."""

import pytest

from conversations.search.query import MAX_WORDS, parse_query
from conversations.search.snippets import LENGTH, snippet
from core.exceptions import BadRequest


def marked(query: str, text: str) -> list[str] | None:
    """Return what is marked of a text, or None if it does not have what is asked for."""
    found = parse_query(query).find_in([text])
    return None if found is None else [text[span.start : span.end] for span in found[0]]


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("sea", "The sea, the SEA.", ["sea", "SEA"]),
        ("sea blue", "Blue is the sea.", ["Blue", "sea"]),
        ("sea red", "Blue is the sea.", None),
        ("temp", "Temperatures", ["Temperatures"]),
        ("t", "Temperatures", None),  # one letter is the beginning of too much
        ("t", "T is a letter", ["T"]),
        ("temp high", "Temperatures are high", None),  # only the last word may be a beginning
        ("high temp", "Temperatures are high", ["Temperatures", "high"]),
        ('"high temp"', "high temperature", None),
        ('"new york"', "A new house in York", None),
        ('"new york"', "In New York", ["New", "York"]),
        ("“new york", "In New Yorkshire", ["New", "Yorkshire"]),  # a quote that is still open
        ("get_weather", "call get-weather now", ["get", "weather"]),
        ("get_weather", "get the weather", None),
        ("cafe", "Das Café", ["Café"]),
        ("手机", "我的手机壳", ["手机"]),
        ("手壳", "我的手机壳", None),
        ("机", "我的手机", ["机"]),
        ("手", "我的手机", ["手"]),
        ("我的手机", "这是我的手机壳", ["我的手机"]),
        ("我的手机", "我的壳和手机", None),
        ("手机 iphone", "iPhone手机", ["iPhone手机"]),
        ("東京タワー", "昨日、東京タワーへ", ["東京タワー"]),
        ("한국", "한국어", ["한국"]),
        ("ประเทศ", "ในประเทศไทย", ["ประเทศ"]),
    ],
)
def test_words_are_found_and_marked(query: str, text: str, expected: list[str] | None) -> None:
    assert marked(query, text) == expected


def test_words_may_stand_in_different_texts_of_a_message() -> None:
    found = parse_query("boat photo").find_in(["My boat", "photo.jpg"])

    assert found is not None
    assert [len(spans) for spans in found] == [1, 1]


@pytest.mark.parametrize("query", ["", "   ", '""', "!?", "👍"])
def test_a_query_without_a_word_is_refused(query: str) -> None:
    with pytest.raises(BadRequest, match="no letter and no digit"):
        parse_query(query)


def test_a_query_of_too_many_words_is_refused() -> None:
    parse_query("a " * MAX_WORDS)
    with pytest.raises(BadRequest, match="more than 32 words"):
        parse_query("a " * (MAX_WORDS + 1))


def test_a_snippet_shows_the_words_around_what_was_found() -> None:
    text = "Long ago there was a story. " * 10 + "Then\n\ncame   the sea and took it. " + "The end. " * 40
    [spans] = parse_query("sea").find_in([text]) or []

    pieces = snippet(text, spans)

    whole = "".join(piece.text for piece in pieces)
    assert [piece.text for piece in pieces if piece.is_hit] == ["sea"]
    assert "Then came the sea and took it." in whole
    assert whole.startswith("…")
    assert whole.endswith("…")
    assert len(whole) <= LENGTH + 2
    assert whole[1:].split()[0] in text.split()  # cut between words


def test_a_snippet_of_a_short_text_is_all_of_it() -> None:
    [spans] = parse_query("hi").find_in(["Hi!"]) or []

    assert [(piece.text, piece.is_hit) for piece in snippet("Hi!", spans)] == [("Hi", True), ("!", False)]
