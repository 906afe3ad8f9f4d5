"""The real model reads text in pictures, offline, in reading order."""

import re
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from media.processing.exceptions import MediaTooLarge
from media.processing.pictures.long_picture_pieces import split_into_pieces
from media.processing.pictures.ocr import PictureText, ReadText, read_text
from media.processing.pictures.reading_order import arrange_in_rows, format_rows
from media.processing.pictures.text_line import TextLine
from tests.support.pictures import encode_picture, png, rotated_picture, text_picture, write_picture

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "Invoice 48213 was paid on 17 March 2024.",
    "Total: 1,294.50 EUR",
]
RECEIPT = [
    ("Cappuccino large", "3.50"),
    ("Butter croissant", "2.20"),
    ("Sparkling water", "1.80"),
    ("Total", "7.50"),
]


def line(text: str, left: int, top: int, width: int = 300, height: int = 20) -> TextLine:
    return TextLine(text, 0.9, (left, top, left + width, top + height))


# --- reading order ------------------------------------------------------------------------------


def test_rows_are_read_from_top_to_bottom_and_left_to_right() -> None:
    cells = [
        line("3.50", 400, 52, 40),
        line("Tea", 10, 50, 60),
        line("Cake", 10, 90, 60),
        line("Menu", 150, 0, 90),
    ]

    assert format_rows(arrange_in_rows(cells)) == "Menu\nTea\t3.50\nCake"


def test_columns_of_running_text_are_read_one_after_another() -> None:
    left = [line(f"the left column's line {n}", 0, 100 + 30 * n) for n in range(4)]
    right = [line(f"the right column's line {n}", 350, 100 + 30 * n) for n in range(4)]
    title, foot = line("A title across both", 100, 40, 450), line("A foot across both", 100, 300, 450)

    found = arrange_in_rows([foot, *(cell for pair in zip(right, left, strict=True) for cell in pair), title])

    assert [row[0].text for row in found] == [cell.text for cell in (title, *left, *right, foot)]


def test_three_columns_are_read_one_after_another() -> None:
    columns = [[line(f"column {c} of three, line {n}", 350 * c, 30 * n) for n in range(3)] for c in range(3)]

    found = arrange_in_rows([cell for row in zip(*columns, strict=True) for cell in row])

    assert [row[0].text for row in found] == [cell.text for column in columns for cell in column]


def test_a_table_with_many_rows_keeps_its_rows() -> None:
    cells = [
        (line(f"Article number {n}", 0, 30 * n, 180), line(f"{n}.99", 400, 30 * n, 50)) for n in range(30)
    ]

    assert format_rows(arrange_in_rows([cell for row in cells for cell in row])).split("\n") == [
        f"Article number {n}\t{n}.99" for n in range(30)
    ]


def test_no_lines_and_lines_of_zero_size_are_ordered_too() -> None:
    assert arrange_in_rows([]) == []
    assert len(arrange_in_rows([line("x" * 30, 5, 5, 0, 0) for _ in range(50)])) >= 1


def test_a_thousand_lines_are_ordered() -> None:
    lines = [line("words and words and words", 350 * (n % 2), 10 * n, height=8) for n in range(1000)]

    assert sum(len(row) for row in arrange_in_rows(lines)) == 1000


def test_a_gigantic_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(MediaTooLarge):
        read_text(ReadText(write_picture(tmp_path, png(50_000, 50_000))))


# --- long pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize("across", [False, True])
def test_a_long_picture_is_cut_where_it_is_blank(across: bool) -> None:
    bars = [20 + 90 * n for n in range(20)]
    image = Image.new("RGB", (60, 1800), "white")
    for top in bars:
        image.paste(Image.effect_noise((60, 60), 90).convert("RGB"), (0, top))
    image = image.transpose(Image.Transpose.TRANSPOSE) if across else image

    found = [(left if across else top, max(piece.size)) for left, top, piece in split_into_pieces(image, 500)]

    assert found[0][0] == 0
    assert [start + length for start, length in found] == [*(start for start, _ in found[1:]), 1800]
    assert max(length for _, length in found) <= 500
    assert not any(top <= start < top + 60 for start, _ in found for top in bars)


def test_an_ordinary_picture_is_one_piece() -> None:
    image = Image.new("RGB", (500, 400))
    assert [*split_into_pieces(image, 500)] == [(0, 0, image)]


def test_a_picture_of_one_color_is_cut_too() -> None:
    assert sum(piece.height for _, _, piece in split_into_pieces(Image.new("RGB", (9, 5000)), 500)) == 5000


# --- the real model -----------------------------------------------------------------------------


def read(folder: Path, image: Image.Image | bytes) -> PictureText:
    return read_text(
        ReadText(write_picture(folder, image if isinstance(image, bytes) else encode_picture(image)))
    )


def words(text: str) -> list[str]:
    return re.findall(r"[\w.,@]+", text)


def page(**options: object) -> Image.Image:
    return text_picture([(20, 20 + 50 * n, text) for n, text in enumerate(SENTENCES)], (620, 180), **options)


@pytest.mark.speech_model
@pytest.mark.xdist_group("models")
class TestReading:
    """Tests have no network (`--disable-socket`), so no part of the model can be fetched."""

    def test_sentences_and_numbers(self, tmp_path: Path) -> None:
        found = read(tmp_path, page())

        assert words(found.text) == words(" ".join(SENTENCES))
        assert (found.width, found.height) == (620, 180)
        assert len(found.lines) == 3
        for number, text in enumerate(found.lines):
            left, top, right, bottom = text.box
            assert 0 <= left < 40
            assert right > 200
            assert top < 20 + 50 * number + 14 < bottom
            assert text.confidence > 0.9

    def test_light_on_dark(self, tmp_path: Path) -> None:
        assert words(read(tmp_path, page(color="#e0e0e0", ground="#101820")).text) == words(
            " ".join(SENTENCES)
        )

    def test_a_transparent_picture_of_white_letters(self, tmp_path: Path) -> None:
        letters = page(color="white", ground="black").convert("L")
        clear = Image.merge("RGBA", (*Image.new("RGB", letters.size, "white").split(), letters))

        assert words(read(tmp_path, clear).text) == words(" ".join(SENTENCES))

    def test_a_photo_taken_sideways(self, tmp_path: Path) -> None:
        found = read(tmp_path, rotated_picture(6, "jpeg", page()))

        assert words(found.text) == words(" ".join(SENTENCES))
        assert (found.width, found.height) == (620, 180)

    def test_a_page_upside_down(self, tmp_path: Path) -> None:
        upside_down = page().transpose(Image.Transpose.ROTATE_180)

        assert words(read(tmp_path, upside_down).text) == words(" ".join(SENTENCES))

    def test_a_receipt_keeps_its_rows(self, tmp_path: Path) -> None:
        cells = [(20, 80 + 40 * n, name) for n, (name, _) in enumerate(RECEIPT)]
        prices = [(320, 80 + 40 * n, price) for n, (_, price) in enumerate(RECEIPT)]
        receipt = text_picture([(100, 20, "CORNER CAFE"), *cells, *prices], (420, 260))

        rows = read(tmp_path, receipt).text.split("\n")

        assert rows == ["CORNER CAFE", *(f"{name}\t{price}" for name, price in RECEIPT)]

    def test_small_letters_in_a_small_picture(self, tmp_path: Path) -> None:
        small = text_picture([(4, 4, "Build 1042 passed")], (170, 24), points=13)

        assert words(read(tmp_path, small).text) == ["Build", "1042", "passed"]

    @pytest.mark.parametrize(
        ("lines", "gap", "width"), [(8, 280, 440), pytest.param(60, 100, 640, marks=pytest.mark.long)]
    )
    def test_a_long_page(self, tmp_path: Path, lines: int, gap: int, width: int) -> None:
        sentences = [f"Line number {n} of a long page" for n in range(lines)]
        rows = [(20, 20 + gap * n, text) for n, text in enumerate(sentences)]
        found = read(tmp_path, text_picture(rows, (width, gap * lines)))

        assert found.text.split("\n") == sentences
        assert all(abs(line.box[1] - row[1]) < 20 for line, row in zip(found.lines, rows, strict=True))
        assert not found.is_cut

    def test_reading_stops_at_the_character_limit(self, tmp_path: Path) -> None:
        long = text_picture([(20, 20, "The first line"), (20, 2100, "The last line")], (300, 2200))
        found = read_text(ReadText(write_picture(tmp_path, encode_picture(long)), characters=5))

        assert (found.text, found.is_cut) == ("The first line", True)

    @pytest.mark.parametrize("length", [2_100, pytest.param(16_000, marks=pytest.mark.long)])
    def test_pictures_without_text(self, tmp_path: Path, length: int) -> None:
        blurred = Image.effect_noise((320, 240), 60).filter(ImageFilter.GaussianBlur(8)).convert("RGB")

        for image in (
            blurred,
            Image.new("RGB", (1, 1)),
            Image.new("RGB", (1, length)),
            Image.new("L", (length, 1)),
        ):
            assert read(tmp_path, image).text == ""
