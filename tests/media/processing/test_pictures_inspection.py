"""Pictures are inspected before they are accepted: the declared size first, then the pixels."""

import tracemalloc
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from media.processing.exceptions import MediaError, MediaTooLarge, UnreadableMedia
from media.processing.pictures.inspection import InspectPicture, PictureFacts, inspect_picture
from media.processing.pictures.limits import PictureLimits
from media.processing.pictures.rendering import RenderPicture, render_picture
from tests.support.pictures import (
    FORMATS,
    animated,
    box_file_claiming,
    encode_picture,
    gif_claiming,
    jpeg_claiming,
    photo,
    png,
    png_chunk,
    quarters,
    rotated_picture,
    webp_claiming,
    write_picture,
)


def inspect_bytes(folder: Path, data: bytes, **limits: int) -> PictureFacts:
    return inspect_picture(InspectPicture(write_picture(folder, data), PictureLimits(**limits)))


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_gives_its_facts(tmp_path: Path, kind: str) -> None:
    assert inspect_bytes(tmp_path, encode_picture(quarters(), kind)) == PictureFacts(
        kind, f"image/{kind}", 96, 64, 1
    )


def test_the_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    facts = inspect_bytes(tmp_path, rotated_picture(6))

    assert (facts.width, facts.height) == (96, 64)


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "avif"])
def test_animation_frames_are_counted(tmp_path: Path, kind: str) -> None:
    assert inspect_bytes(tmp_path, animated(kind, frames=5)).frames == 5


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "avif"])
def test_too_many_frames_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MediaTooLarge, match="has 5 frames; 4 are taken"):
        inspect_bytes(tmp_path, animated(kind, frames=5), max_frames=4)


# --- sizes --------------------------------------------------------------------------------------

CLAIMS = {
    "png": png(50_000, 50_000),
    "jpeg": jpeg_claiming(50_000, 50_000, encode_picture(quarters(), "jpeg")),
    "progressive jpeg": jpeg_claiming(50_000, 50_000, encode_picture(quarters(), "jpeg", progressive=True)),
    "gif": gif_claiming(50_000, 50_000),
    "webp": webp_claiming(50_000, 50_000),
    "heic": box_file_claiming(50_000, 50_000, "heic"),
    "avif": box_file_claiming(50_000, 50_000, "avif"),
}


@pytest.mark.parametrize("data", CLAIMS.values(), ids=CLAIMS)
def test_a_gigantic_picture_is_refused_without_decoding(tmp_path: Path, data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MediaError) as refused:
            inspect_bytes(tmp_path, data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(refused.value, MediaTooLarge) or refused.value.message == "The picture is damaged."
    assert most < 4 * 2**20


def test_the_refusal_of_a_large_picture_gives_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(MediaTooLarge, match="50000×50000 pixels; a side may have 16384"):
        inspect_bytes(tmp_path, png(50_000, 50_000))
    with pytest.raises(MediaTooLarge, match="10000×10000 pixels; 50000000 in all are taken"):
        inspect_bytes(tmp_path, png(10_000, 10_000))
    with pytest.raises(MediaTooLarge, match=r"larger than 0\.25 MB"):
        inspect_bytes(tmp_path, encode_picture(photo()), max_bytes=2**18)


@pytest.mark.parametrize("kind", FORMATS)
def test_limits_are_exact(tmp_path: Path, kind: str) -> None:
    data = encode_picture(quarters(96, 64), kind)

    inspect_bytes(tmp_path, data, max_side=96, max_pixels=96 * 64, max_bytes=len(data), max_frames=1)
    for limit in {"max_side": 95}, {"max_pixels": 96 * 64 - 1}, {"max_bytes": len(data) - 1}:
        with pytest.raises(MediaTooLarge):
            inspect_bytes(tmp_path, data, **limit)


FORGED = {
    "png": png(2_000, 2_000, pixels=b"\0" * 5_000),
    "jpeg": jpeg_claiming(5_000, 5_000, encode_picture(quarters(), "jpeg")),
    "webp": webp_claiming(5_000, 5_000),
    "heic": box_file_claiming(5_000, 5_000, "heic"),
}


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
def test_a_declared_size_that_the_pixels_do_not_fill_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnreadableMedia):
        inspect_bytes(tmp_path, data)


def test_a_heic_that_declares_too_small_a_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia):
        inspect_bytes(tmp_path, box_file_claiming(8, 8, "heic"))


@pytest.mark.parametrize("size", [(8, 8), (500, 400)])
def test_an_avif_has_the_size_that_it_declares(tmp_path: Path, size: tuple[int, int]) -> None:
    """The decoder scales to the declared size; the sandbox's memory limit bounds the cost."""
    path = write_picture(tmp_path, box_file_claiming(*size, "avif"))

    facts = inspect_picture(InspectPicture(path))
    made = render_picture(RenderPicture(path, str(tmp_path / "made")))

    assert (facts.width, facts.height) == (made.width, made.height) == size


def test_a_picture_without_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="no pixels"):
        inspect_bytes(tmp_path, png(0, 10))
    gif = encode_picture(quarters(), "gif")
    colors = 3 << ((gif[10] & 7) + 1)
    with pytest.raises(UnreadableMedia, match="no pixels"):
        inspect_bytes(tmp_path, gif[: 13 + colors] + b";")


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_jpeg_cut_anywhere_is_refused(tmp_path: Path, options: dict[str, bool]) -> None:
    data = encode_picture(photo(120, 90), "jpeg", **options)

    _assert_refused_when_cut(tmp_path, data)


@pytest.mark.parametrize("kind", ["png", "webp", "gif", "heic", "avif"])
def test_a_picture_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    _assert_refused_when_cut(tmp_path, encode_picture(photo(60, 40), kind))


@pytest.mark.parametrize("kind", ["png", "webp", "gif"])
def test_an_animation_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    _assert_refused_when_cut(tmp_path, animated(kind))


def _assert_refused_when_cut(folder: Path, data: bytes) -> None:
    for end in sorted(
        {*range(1, 40), *range(40, len(data), len(data) // 60), *range(len(data) - 12, len(data))}
    ):
        with pytest.raises(UnreadableMedia):
            inspect_bytes(folder, data[:end])


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_a_picture_cut_in_half_is_reported_as_cut_off(tmp_path: Path, kind: str) -> None:
    data = encode_picture(photo(), kind)

    with pytest.raises(UnreadableMedia, match=r"^The picture is cut off\.$"):
        inspect_bytes(tmp_path, data[: len(data) // 2])


def test_a_png_with_a_flipped_bit_is_reported_as_damaged(tmp_path: Path) -> None:
    data = bytearray(encode_picture(photo(), "png"))
    data[len(data) // 2] ^= 1

    with pytest.raises(UnreadableMedia, match=r"^The picture is damaged\.$"):
        inspect_bytes(tmp_path, bytes(data))


def test_a_format_after_the_signature_of_another_is_refused(tmp_path: Path) -> None:
    tiff = BytesIO()
    quarters().save(tiff, "TIFF")

    for head in b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\xff\0\0\0WEBP":
        with pytest.raises(UnreadableMedia):
            inspect_bytes(tmp_path, head + tiff.getvalue())


# --- bombs --------------------------------------------------------------------------------------


@cache
def bomb() -> bytes:
    """200 MB of zeros, compressed. It takes a second."""
    return zlib.compress(b"\0" * 200 * 2**20, 9)


@pytest.mark.parametrize(
    ("kind", "head"),
    [("zTXt", b"Comment\0\0"), ("iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"), ("iCCP", b"profile\0\0")],
    ids=["zTXt", "iTXt", "iCCP"],
)
def test_a_chunk_that_unpacks_to_200_mb_is_refused_cheaply(tmp_path: Path, kind: str, head: bytes) -> None:
    data = png(4, 4, png_chunk(kind.encode(), head + bomb()), pixels=b"\0" * 20)
    assert len(data) < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableMedia, match="unpack to too much"):
            inspect_bytes(tmp_path, data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 8 * 2**20


def test_pixels_beyond_the_declared_size_are_not_unpacked(tmp_path: Path) -> None:
    header = png(4, 4)[:33]
    data = header + png_chunk(b"IDAT", bomb()) + png_chunk(b"IEND", b"")

    assert inspect_bytes(tmp_path, data).width == 4


def test_a_jpeg_with_a_thousand_scans_is_refused(tmp_path: Path) -> None:
    data = encode_picture(photo(64, 64), "jpeg", progressive=True)
    at = data.rindex(b"\xff\xda")

    with pytest.raises(MediaTooLarge, match="more than 100 scans"):
        inspect_bytes(tmp_path, data[:at] + data[at:-2] * 1000 + b"\xff\xd9")


MANY = 60_000
PIECES = {
    "png": png(4, 4, png_chunk(b"teSt", b"") * MANY, pixels=b"\0" * 20),
    "jpeg": b"\xff\xd8" + b"\xff\xd0" * MANY + encode_picture(quarters(), "jpeg")[2:],
    "gif": encode_picture(quarters(), "gif")[:-1] + b"!\xfe\0" * MANY + b";",
}


@pytest.mark.parametrize("data", PIECES.values(), ids=PIECES)
def test_a_picture_with_too_many_pieces_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(MediaTooLarge, match="too many pieces"):
        inspect_bytes(tmp_path, data)


def test_a_gif_with_an_endless_comment_is_refused(tmp_path: Path) -> None:
    comment = b"!\xfe" + (b"\xff" + b"x" * 255) * 5000 + b"\0"

    with pytest.raises(MediaTooLarge, match="comments are too long"):
        inspect_bytes(tmp_path, encode_picture(quarters(), "gif")[:-1] + comment + b";")


# --- polyglots: accepted as pictures, as only their pixels are passed on ------------------------

FOREIGN = {
    "script": b"*/=1;alert(document.domain);//",
    "page": b"<html><script>alert(1)</script></html>",
    "archive": b"PK\3\4" + b"\0" * 26 + b"PK\5\6" + b"\0" * 18,
}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("kind", FORMATS)
def test_foreign_bytes_after_a_picture_do_not_matter(tmp_path: Path, kind: str, foreign: bytes) -> None:
    facts = inspect_bytes(tmp_path, encode_picture(quarters(), kind) + foreign)

    assert (facts.kind, facts.width, facts.height) == (kind, 96, 64)


# --- odd but valid ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 16_000), (16_000, 1)])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_extreme_shapes_are_accepted(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    facts = inspect_bytes(tmp_path, encode_picture(Image.new("RGB", size, "red"), kind))

    assert (facts.width, facts.height) == size


def test_only_the_first_picture_of_an_mpo_file_counts(tmp_path: Path) -> None:
    """MPO is what some phones write: a JPEG with another after it."""
    file = BytesIO()
    photo(64, 48).save(file, "MPO", save_all=True, append_images=[photo(32, 24)])

    assert inspect_bytes(tmp_path, file.getvalue()) == PictureFacts("jpeg", "image/jpeg", 64, 48, 1)
