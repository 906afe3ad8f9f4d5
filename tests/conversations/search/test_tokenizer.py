"""The words of a text: the same for what is stored and for what is asked."""

import random
import sys
import unicodedata

import pytest

from conversations.search.tokenizer import MAX_WORD, tokens_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The QUICK fox", {"the", "quick", "fox"}),
        ("Straße STRASSE", {"strasse"}),
        ("École naïve café", {"ecole", "naive", "cafe"}),
        ("cafe\u0301s", {"cafes"}),  # as macOS writes file names
        ("ﬁne Ｆｕｌｌ ｗｉｄｔｈ", {"fine", "full", "width"}),
        ("Łódź Ærø Đà Nẵng İstanbul ıssız", {"lodz", "aero", "da", "nang", "istanbul", "issiz"}),
        ("ΑΘΉΝΑ αθηνα", {"αθηνα"}),
        ("Ёлка елка", {"елка"}),
        ("مُحَمَّد محمد مـحـمـد", {"محمد"}),
        ("שָׁלוֹם", {"שלום"}),
        ("हिन्दी में", {"हिन्दी", "में"}),
        ("get_weather(3.14)", {"get", "weather", "3", "14"}),
        ("手机", {"手机", "机"}),
        ("iPhone手机壳", {"iphone", "手机", "机壳", "壳"}),
        ("カメラ ｶﾒﾗ", {"カメ", "メラ", "ラ"}),
        ("ガ ｶﾞ", {"ガ"}),
        ("한국어", {"한국", "국어", "어"}),
        (unicodedata.normalize("NFD", "한국어"), {"한국", "국어", "어"}),
        ("ไทย", {"ไท", "ทย", "ย"}),
        ("ភាសា", {"ភា", "ាស", "សា", "ា"}),
        ("𠮷野家", {"𠮷野", "野家", "家"}),
        ("… !? 👍🏽", set()),
        ("ﷺ ⑴ ℀", {"صلى", "الله", "عليه", "وسلم", "1"}),  # one character that stands for several words
        ("a" * 100, {"a" * MAX_WORD}),
    ],
)
def test_words_are_folded_and_scripts_without_spaces_become_pairs(text: str, words: set[str]) -> None:
    assert words_of(text) == words


def test_tokens_say_where_in_the_text_their_words_stand() -> None:
    text = "Zum Café 手机壳, naïve"

    assert [text[token.start : token.end] for token in tokens_of(text)] == [
        *("Zum", "Café", "手机", "机壳", "壳", "naïve")
    ]
    assert [token.position for token in tokens_of(text)] == [0, 1, 2, 3, 4, 5]


def test_words_and_tokens_agree_on_whatever_text() -> None:
    letters = random.Random(14)
    for _ in range(300):
        text = "".join(chr(letters.randrange(32, 0x3100)) for _ in range(40))
        text += "".join(chr(letters.randrange(0xAC00, 0xD800)) for _ in range(3))
        text += "".join(chr(letters.randrange(0xE000, sys.maxunicode)) for _ in range(20))
        tokens = list(tokens_of(text))

        assert words_of(text) == {token.word for token in tokens}
        assert [token.position for token in tokens] == list(range(len(tokens)))
        assert all(0 <= token.start < token.end <= len(text) for token in tokens)
