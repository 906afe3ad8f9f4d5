"""A text stream is split into sentences, each as soon as it is sure to be complete."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.processing.speech.sentence_splitter import (
    CODE_LIMIT,
    PIECE_LIMIT,
    CodePiece,
    SentenceSplitter,
    is_code,
    split_sentences,
)
from tests.support.examples import examples

TABLE = [
    ("Hello there. How are you? Fine!", ["Hello there.", " How are you?", " Fine!"]),
    ("What?! No... Yes", ["What?!", " No...", " Yes"]),
    ("Wait... what? Hmm… no.", ["Wait... what?", " Hmm… no."]),
    ("Mr. Fox and Dr. Who, e.g. here, vs. there. Ok", ["Mr. Fox and Dr. Who, e.g. here, vs. there.", " Ok"]),
    ("It is 3.14 at example.org. Ok", ["It is 3.14 at example.org.", " Ok"]),
    (
        "In the U.S. Army. J. R. R. Tolkien wrote. So",
        ["In the U.S. Army.", " J. R. R. Tolkien wrote.", " So"],
    ),
    ("At 5 p.m. he left. At 6 p.m. She left.", ["At 5 p.m. he left.", " At 6 p.m.", " She left."]),
    ("Cats, dogs, etc. are pets. Cats, etc. Dogs", ["Cats, dogs, etc. are pets.", " Cats, etc.", " Dogs"]),
    ("It was me. It was I. Then no. Yes", ["It was me.", " It was I.", " Then no.", " Yes"]),
    ("In 1999. Then", ["In 1999.", " Then"]),
    ("“Really?” she asked. “Yes.” (He left.) Ok", ["“Really?” she asked.", " “Yes.”", " (He left.)", " Ok"]),
    ("**Bold.** Next", ["**Bold.**", " Next"]),
    ("你好。再见！「好。」是吗？好", ["你好。", "再见！", "「好。」", "是吗？", "好"]),
    ("क्या? यह। वह", ["क्या?", " यह।", " वह"]),
    ("- one\n- two\n\n1. three\n2. four", ["- one", "\n- two", "\n\n1. three", "\n2. four"]),
    ("# Title\nText goes. On", ["# Title", "\nText goes.", " On"]),
    ("---\n\n...\nOk.", ["---\n\n...\nOk."]),
    ("So:\n```py\nx = 1. \n\ny\n```\nDone. Ok", ["So:", "\n```py\nx = 1. \n\ny\n```", "\nDone.", " Ok"]),
    ("```\na. b\n```", ["```\na. b\n```"]),
    ("~~~\na. b\n```\nc\n~~~~\nDone.", ["~~~\na. b\n```\nc\n~~~~", "\nDone."]),
    ("````\n```\na. b\n```\n````\nDone.", ["````\n```\na. b\n```\n````", "\nDone."]),
    ("Use it. ```a``` is code. So", ["Use it.", " ```a``` is code.", " So"]),
    ("یہ ہے۔ وہ", ["یہ ہے۔", " وہ"]),
    ("```\nnever closed. At all", ["```\nnever closed. At all"]),
    ("", []),
    ("  \n", ["  \n"]),
]


@pytest.mark.parametrize(("text", "sentences"), TABLE)
def test_a_stream_is_split_into_sentences(text: str, sentences: list[str]) -> None:
    splitter = SentenceSplitter()
    assert splitter.add(text) + splitter.take_rest() == sentences


def test_if_lines_do_not_count_only_a_blank_line_ends_a_sentence() -> None:
    splitter = SentenceSplitter(breaks_lines=False)
    assert splitter.add("One\n two\n \n three") + splitter.take_rest() == ["One\n two", "\n \n three"]


def test_a_sentence_is_returned_once_a_space_follows_it() -> None:
    splitter = SentenceSplitter()
    assert [splitter.add(piece) for piece in ("It is 3", ".", "14", ".", " ", "So")] == [
        [], [], [], [], ["It is 3.14."], [],
    ]  # fmt: skip
    assert splitter.take_rest() == [" So"]
    assert splitter.take_rest() == []


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("word " * 100, "word " * 49 + "word"),
        ("one, two " * 50, "one, two " * 27 + "one,"),
        ("x" * 600, "x" * PIECE_LIMIT),
        ("一" * 200 + "，" + "二" * 300, "一" * 200 + "，"),
    ],
)
def test_a_long_sentence_is_cut_at_a_clause_or_a_space(text: str, begins: str) -> None:
    splitter = SentenceSplitter()
    pieces = splitter.add(text) + splitter.take_rest()
    assert pieces[0] == begins
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= PIECE_LIMIT


def test_long_code_is_cut_at_a_line_break() -> None:
    splitter = SentenceSplitter()
    text = "```\n" + "x = 1\n" * 400 + "```\nDone."
    pieces = splitter.add(text) + splitter.take_rest()
    assert "".join(pieces) == text
    assert len(pieces) == 4
    assert all(len(piece) <= CODE_LIMIT and not piece.endswith("\n") for piece in pieces)
    assert pieces[-1] == "\nDone."


FRAGMENTS = [
    "Hello", "Mr", ".", ". ", "..", "…", "?", "!", '"', "”", ")", "*", " ", "  ", "\n", "\n\n", "\r\n",
    "\t", "a.m", "~~~", "\n~~~~\n", "`" * 25,
    "U.S", "etc", "3", "14", "1. ", "- ", "```", "\n```\n", "``", "`py\n", "。", "」", "，", ",",
    "x" * 90, "word " * 30,
    " " * 120, "Then", "then", "😀", "\ufffc", "J",
]  # fmt: skip


def test_a_wrapped_line_continues_its_sentence() -> None:
    splitter = SentenceSplitter()
    line = "This line is as long as lines are where they are wrapped, and\n"
    assert splitter.add(line) == []
    assert splitter.add("goes on.\nOk") == [f"{line}goes on."]
    assert splitter.add(" then\nno more") == ["\nOk then"]


def test_in_a_whole_text_code_is_one_piece_and_sentences_end_with_their_white_space() -> None:
    code = "```\n" + "x = 1\n" * 400 + "```\n"
    assert split_sentences(f"Look:\n\n{code}\nDone. Yes.\n") == ["Look:\n\n", f"{code}\n", "Done. ", "Yes.\n"]
    assert split_sentences("\n```\na\n```") == ["\n```\na\n```"]
    assert is_code("\n```\na\n```")
    assert split_sentences("") == []


@pytest.mark.parametrize("length", range(CODE_LIMIT - 12, CODE_LIMIT + 2))
def test_a_code_block_that_ends_where_it_would_be_cut_is_closed(length: int) -> None:
    splitter = SentenceSplitter()
    pieces = [*splitter.add("\n\n```\n" + "x" * (length - 6) + "\n```\nDone. Ok"), *splitter.take_rest()]
    assert pieces[-2:] == ["\nDone.", " Ok"]


def test_all_pieces_of_long_code_are_marked_as_code() -> None:
    splitter = SentenceSplitter()
    pieces = [*splitter.add("So:\n```\n" + "x = 1\n" * 400 + "```\nDone."), *splitter.take_rest()]
    assert [isinstance(piece, CodePiece) for piece in pieces] == [False, True, True, True, False]


@settings(max_examples=examples(200))
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join), st.data(), st.booleans())
def test_pieces_join_to_the_text_and_do_not_depend_on_how_it_was_streamed(
    text: str, data: st.DataObject, breaks_lines: bool
) -> None:
    whole = SentenceSplitter(breaks_lines=breaks_lines)
    pieces = whole.add(text) + whole.take_rest()
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= CODE_LIMIT for piece in pieces)

    edges = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=30)) | {0, len(text)})
    splitter = SentenceSplitter(breaks_lines=breaks_lines)
    streamed = [piece for start, end in pairwise(edges) for piece in splitter.add(text[start:end])]
    assert streamed + splitter.take_rest() == pieces

    one_by_one = SentenceSplitter(breaks_lines=breaks_lines)
    assert [
        piece for character in text for piece in one_by_one.add(character)
    ] + one_by_one.take_rest() == pieces
