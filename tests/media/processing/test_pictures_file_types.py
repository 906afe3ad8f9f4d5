"""A picture's kind is detected from its bytes; a refusal names what the file is."""

import subprocess
import sys

import pytest

from media.processing.exceptions import UnreadableMedia
from media.processing.pictures.file_types import picture_kind, sniff_picture
from tests.support.pictures import FORMATS, encode_picture, quarters


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_recognized_by_its_first_bytes(kind: str) -> None:
    found = sniff_picture(encode_picture(quarters(), kind)[:64])

    assert found is not None
    assert (found.name, found.media_type) == (kind, f"image/{kind}")


@pytest.mark.parametrize(
    ("brands", "name"),
    [
        (b"mif1\0\0\0\0mif1heic", "heic"),
        (b"mif1\0\0\0\0mif1avif", "avif"),
        (b"mif1\0\0\0\0mif1miaf", "heif"),
        (b"hevc\0\0\0\0msf1hevc", "heic"),
        (b"avis\0\0\0\0msf1miaf", "avif"),
    ],
)
def test_brands_determine_what_a_container_holds(brands: bytes, name: str) -> None:
    found = sniff_picture((len(brands) + 8).to_bytes(4, "big") + b"ftyp" + brands)

    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "an SVG drawing"),
        (b"<?xml version='1.0'?>\n<!-- by hand -->\n<svg width='1'>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><s:svg xmlns:s='x'>", "an SVG drawing"),
        ("\ufeff<svg onload='alert(1)'>".encode("utf-16-le"), "an SVG drawing"),
        (b"<?xml version='1.0'?><rss>", "an XML document"),
        (b"\n <!-- x --> <!DOCTYPE html><svg>", "an HTML page"),
        (b"<script>alert(1)</script>", "an HTML page"),
        (b"%PDF-1.7", "a PDF document"),
        (b"BM\x36\0\0\0", "a BMP picture"),
        (b"II*\0", "a TIFF picture"),
        (b"MM\0*", "a TIFF picture"),
        (b"%!PS-Adobe-3.0 EPSF", "an EPS (PostScript) file"),
        (b"\0\0\1\0", "an icon (ICO)"),
        (b"8BPS\0\1", "a Photoshop (PSD) file"),
        (b"\0\0\0\x0cJXL \r\n", "a JPEG XL picture"),
        (b"\0\0\0\x18ftypmp42", "an MP4 or QuickTime file"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a RIFF file (such as WAV or AVI)"),
        (b"PK\3\4", "a ZIP archive"),
        (b"iVBORw0KGgoAAAANSUhEUg", "base64 text that was not decoded"),
    ],
)
def test_other_recognized_files_are_refused_by_name(head: bytes, name: str) -> None:
    with pytest.raises(UnreadableMedia) as refused:
        picture_kind(head)

    expected = f"This is {name}; PNG, JPEG, WebP, GIF, HEIC and AVIF pictures are taken."
    assert refused.value.message == expected
    assert refused.value.code == "unsupported_media_type"


@pytest.mark.parametrize("head", [b"hello", b"\x89PNG", b"GIF8", b"\xff\xd8", b"\0" * 64, b"RIFF", b"<p>"])
def test_unrecognized_files_are_refused_too(head: bytes) -> None:
    with pytest.raises(UnreadableMedia, match="pictures are taken"):
        picture_kind(head)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(UnreadableMedia, match="The picture is empty"):
        picture_kind(b"")


def test_importing_the_jobs_loads_no_decoder() -> None:
    modules = "file_types", "inspection", "rendering", "ocr", "text_description"
    imports = ", ".join(f"media.processing.pictures.{name}" for name in modules)
    program = f"import sys, {imports}; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    heavy = {"PIL", "pillow_heif", "numpy", "cv2", "rapidocr", "onnxruntime", "django"}
    assert not heavy & set(loaded.stdout.split())
