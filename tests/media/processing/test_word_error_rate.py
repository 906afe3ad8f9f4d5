"""The word error rate, by which recognition is judged."""

import pytest

from tests.support.word_error_rate import normalized_words, word_error_rate


@pytest.mark.parametrize(
    ("heard", "rate"),
    [
        ("The cat sat on the mat.", 0),
        ("the CAT — sat, on the “mat”", 0),
        ("the cat on the mat", 1 / 6),
        ("the black cat sat on the mat", 1 / 6),
        ("the bat sat on the mat", 1 / 6),
        ("a dog", 1),
        ("", 1),
        ("one two three four five six seven eight nine ten eleven twelve", 2),
    ],
)
def test_errors_are_counted_per_word_of_the_reference(heard: str, rate: float) -> None:
    assert word_error_rate("The cat sat on the mat.", heard) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("12 apples", "twelve apples"),
        ("1,250 people", "one thousand, two hundred and fifty people"),
        ("in 1984", "in nineteen eighty-four"),
        ("the 3rd of May", "the third of May"),
        ("3.5 km", "three point five km"),
        ("$20 or 50%", "twenty dollars or fifty percent"),
        ("at 7:00", "at seven"),
        ("at 7:30", "at seven thirty"),
        ("Dr. Smith doesn’t", "doctor smith doesn't"),
    ],
)
def test_numbers_may_be_written_or_spoken(written: str, spoken: str) -> None:
    assert word_error_rate(spoken, written) == 0


def test_a_reference_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="no words"):
        word_error_rate("…", "anything")


def test_accents_matter_but_not_how_they_are_encoded() -> None:
    assert normalized_words("cafe\u0301") == normalized_words("caf\u00e9") == ["café"]
