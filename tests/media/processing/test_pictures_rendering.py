"""Models get a new picture with the same pixels, and nothing else."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat

from media.processing.exceptions import MediaTooLarge, UnreadableMedia
from media.processing.pictures.limits import PictureLimits
from media.processing.pictures.rendering import RenderedPicture, RenderPicture, render_picture
from tests.support.pictures import (
    FORMATS,
    animated,
    encode_picture,
    photo,
    png,
    png_chunk,
    quarters,
    revealing_exif,
    rotated_picture,
    text_picture,
    write_picture,
)


def render(
    folder: Path,
    data: bytes,
    max_side: int = 2048,
    max_bytes: int = 4 * 2**20,
    purpose: Literal["model", "thumbnail"] = "model",
) -> tuple[RenderedPicture, bytes, Image.Image]:
    out = folder / "made"
    made = render_picture(RenderPicture(write_picture(folder, data), str(out), max_side, max_bytes, purpose))
    file = out.read_bytes()
    with Image.open(BytesIO(file)) as image:
        image.load()
    assert (made.media_type, made.size) == (Image.MIME[image.format or ""], len(file))
    assert (made.width, made.height) == image.size
    return made, file, image


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    """Return the largest mean difference of a channel's values, 0 to 255."""
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


# --- formats and orientation --------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_the_pixels_of_each_format_are_kept(tmp_path: Path, kind: str) -> None:
    made, _, image = render(tmp_path, encode_picture(quarters(), kind))

    assert made.media_type in ("image/png", "image/jpeg")
    assert mean_difference(image, quarters()) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "heic", "avif"])
def test_every_orientation_gives_the_same_upright_picture(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    made, _, image = render(tmp_path, rotated_picture(orientation, kind))

    assert (made.width, made.height) == (96, 64)
    assert mean_difference(image, quarters()) < 3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_invalid_orientation_is_ignored(tmp_path: Path, orientation: int) -> None:
    assert mean_difference(render(tmp_path, rotated_picture(orientation))[2], quarters()) < 3


def test_broken_exif_data_is_ignored(tmp_path: Path) -> None:
    for exif in (
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 50,
        b"Exif\0\0",
    ):
        assert (
            mean_difference(render(tmp_path, encode_picture(quarters(), "jpeg", exif=exif))[2], quarters())
            < 3
        )


# --- nothing else is passed on ------------------------------------------------------------------

SECRET = b"SecretCamera"


@pytest.mark.parametrize("purpose", ["model", "thumbnail"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "heic", "avif"])
def test_no_metadata_is_passed_on(tmp_path: Path, kind: str, purpose: Literal["model", "thumbnail"]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SecretCamera</x:xmpmeta>"
    data = encode_picture(
        photo(), kind, exif=revealing_exif(), icc_profile=profile, xmp=xmp, comment="SecretCamera"
    )
    assert SECRET in data

    _, file, image = render(tmp_path, data, purpose=purpose)

    assert SECRET not in file
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment", "XML:com.adobe.xmp"} & set(image.info)
    assert blocks(file) <= PLAIN_BLOCKS


@pytest.mark.parametrize("kind", FORMATS)
def test_bytes_hidden_after_a_picture_are_dropped(tmp_path: Path, kind: str) -> None:
    data = encode_picture(quarters(), kind) + b"PK\3\4<script>SecretCamera</script>"

    assert SECRET not in render(tmp_path, data)[1]


def test_a_gif_that_is_also_a_script_becomes_only_a_picture(tmp_path: Path) -> None:
    data = encode_picture(quarters(), "gif", comment=b"*/=1;alert('SecretCamera')/*")
    assert SECRET in data

    assert SECRET not in render(tmp_path, data)[1]


def test_text_chunks_of_a_png_are_dropped(tmp_path: Path) -> None:
    page = png_chunk(b"tEXt", b"Comment\0<html><script>SecretCamera</script>")

    assert SECRET not in render(tmp_path, png(4, 4, page, pixels=b"\0" * 20))[1]


PLAIN_BLOCKS = {
    *("IHDR", "PLTE", "IDAT", "IEND"),
    *("ffd8", "ffe0", "ffdb", "ffc0", "ffc4", "ffda"),
    *("VP8 ", "VP8L", "VP8X", "ALPH"),
}


def blocks(file: bytes) -> set[str]:
    """Return the kinds of a file's chunks or, for a JPEG, its markers before the coded pixels."""
    found: set[str] = set()
    if file[:2] == b"\xff\xd8":
        at = 2
        while "ffda" not in found:
            found.add(file[at : at + 2].hex())
            at += 2 + struct.unpack_from(">H", file, at + 2)[0]
    elif file[:4] == b"RIFF":
        at = 12
        while at < len(file):
            found.add(file[at : at + 4].decode())
            at += 8 + -(-struct.unpack_from("<I", file, at + 4)[0] // 2) * 2
    else:
        at = 8
        while at < len(file):
            found.add(file[at + 4 : at + 8].decode())
            at += 12 + struct.unpack_from(">I", file, at)[0]
    return found


# --- colors -------------------------------------------------------------------------------------


def test_a_color_profile_is_applied_before_it_is_dropped(tmp_path: Path) -> None:
    """sRGB colors with red and blue swapped look right again if the profile swaps them, too."""
    red, green, blue = quarters().split()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"?XYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"?XYZ", b"bXYZ", 1)

    _, _, image = render(
        tmp_path, encode_picture(Image.merge("RGB", (blue, green, red)), "png", icc_profile=swapped)
    )

    assert mean_difference(image, quarters()) < 5


@pytest.mark.parametrize("profile", [b"rubbish", b"\0" * 128, b"\0\0\2\0lcms" + b"\xff" * 500])
def test_a_broken_color_profile_is_ignored(tmp_path: Path, profile: bytes) -> None:
    assert (
        mean_difference(
            render(tmp_path, encode_picture(quarters(), "png", icc_profile=profile))[2], quarters()
        )
        < 1
    )


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    file = BytesIO()
    quarters().convert("CMYK").save(file, "JPEG", quality=95)

    _, _, image = render(tmp_path, file.getvalue())

    assert image.mode == "RGB"
    assert mean_difference(image, quarters()) < 5


def test_16_bit_gray_keeps_its_shades(tmp_path: Path) -> None:
    wide = Image.frombytes("I;16", (256, 64), b"".join(struct.pack("<H", n * 256) for n in range(256)) * 64)
    narrow = Image.frombytes("L", (256, 64), bytes(range(256)) * 64)

    assert mean_difference(render(tmp_path, encode_picture(wide, "png"))[2], narrow) < 2


def test_a_10_bit_heic_becomes_8_bit(tmp_path: Path) -> None:
    import pillow_heif

    row = b"".join(struct.pack("<HHH", n * 256, n * 256, n * 256) for n in range(256))
    file = BytesIO()
    pillow_heif.encode("RGB;16", (256, 64), row * 64, file, quality=95)
    narrow = Image.frombytes("L", (256, 64), bytes(range(256)) * 64)

    assert mean_difference(render(tmp_path, file.getvalue())[2], narrow) < 3


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_pictures_with_few_colors_keep_them(tmp_path: Path, mode: str) -> None:
    image = quarters().convert(mode)

    assert mean_difference(render(tmp_path, encode_picture(image, "png"))[2], image) < 1


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparency_is_kept(tmp_path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((10, 10, 10, 255), (10, 10, 30, 30))

    made, _, image = render(tmp_path, encode_picture(clear.convert(mode), "png"))

    assert made.media_type == "image/png"
    alpha = image.convert("RGBA").getchannel("A")
    assert (alpha.getpixel((0, 0)), alpha.getpixel((20, 20))) == (0, 255)


def test_the_transparent_color_of_an_rgb_png_stays_transparent(tmp_path: Path) -> None:
    data = encode_picture(quarters(), "png", transparency=(255, 0, 0))

    alpha = render(tmp_path, data)[2].getchannel("A")

    assert (alpha.getpixel((5, 5)), alpha.getpixel((90, 60))) == (0, 255)


def test_the_alpha_channel_of_an_opaque_picture_is_dropped(tmp_path: Path) -> None:
    assert render(tmp_path, encode_picture(photo().convert("RGBA"), "png"))[0].media_type == "image/jpeg"


@pytest.mark.parametrize(("ink", "ground"), [("white", (0, 0, 0)), ("black", (255, 255, 255))])
def test_a_transparent_photo_too_large_for_png_gets_a_contrasting_background(
    tmp_path: Path, ink: str, ground: tuple[int, int, int]
) -> None:
    clear = Image.merge(
        "RGBA", (*Image.new("RGB", (300, 300), ink).split(), Image.effect_noise((300, 300), 90))
    )
    clear.paste((0, 0, 0, 0), (0, 0, 50, 50))

    made, _, image = render(tmp_path, encode_picture(clear, "png"), max_bytes=60_000)

    assert made.media_type == "image/jpeg"
    assert mean_difference(image.crop((0, 0, 40, 40)), Image.new("RGB", (40, 40), ground)) < 3


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_large_pictures_are_scaled_down_proportionally(tmp_path: Path, kind: str) -> None:
    _, _, image = render(tmp_path, encode_picture(quarters(960, 640), kind), max_side=300)

    assert image.size == (300, 200)
    assert mean_difference(image, quarters(300, 200)) < 4


def test_a_picture_is_never_enlarged(tmp_path: Path) -> None:
    assert render(tmp_path, encode_picture(quarters(), "png"))[2].size == (96, 64)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1, 1), (1, 1)), ((1, 16_000), (1, 1000)), ((16_000, 1), (1000, 1)), ((3, 9), (3, 9))],
)
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp"])
def test_extreme_shapes_keep_at_least_one_pixel(
    tmp_path: Path, kind: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert render(tmp_path, encode_picture(Image.new("RGB", size), kind), max_side=1000)[2].size == expected


def test_the_byte_limit_reduces_the_quality_and_then_the_size(tmp_path: Path) -> None:
    data = encode_picture(photo(), "png")
    fine, _, _ = render(tmp_path, data)

    coarse, _, image = render(tmp_path, data, max_bytes=fine.size // 2)
    assert coarse.size <= fine.size // 2
    assert image.size == (400, 300)

    small, _, image = render(tmp_path, data, max_bytes=3_000)
    assert small.size <= 3_000
    assert image.size < (400, 300)
    assert image.width / image.height == pytest.approx(4 / 3, rel=0.05)


def test_an_unreachable_byte_limit_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MediaTooLarge, match="as small as 50 bytes"):
        render(tmp_path, encode_picture(photo(), "png"), max_bytes=50)


def test_screenshots_stay_sharp_and_photos_small(tmp_path: Path) -> None:
    screenshot = text_picture(
        [(20, 20 + 30 * n, "Settings, privacy and security") for n in range(8)], (800, 300)
    )

    assert render(tmp_path, encode_picture(screenshot, "png"))[0].media_type == "image/png"
    assert mean_difference(render(tmp_path, encode_picture(screenshot, "png"))[2], screenshot) == 0
    assert render(tmp_path, encode_picture(photo(), "png"))[0].media_type == "image/jpeg"
    assert render(tmp_path, encode_picture(photo().convert("L"), "png"))[0].media_type == "image/jpeg"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_thumbnail_is_a_small_webp(tmp_path: Path, kind: str) -> None:
    made, _, image = render(tmp_path, encode_picture(quarters(960, 640), kind), purpose="thumbnail")

    assert (made.media_type, made.width, made.height) == ("image/webp", 256, 171)
    assert mean_difference(image, quarters(256, 171)) < 4


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "avif"])
def test_the_first_frame_of_an_animation_is_used(tmp_path: Path, kind: str) -> None:
    _, _, image = render(tmp_path, animated(kind))

    assert getattr(image, "n_frames", 1) == 1
    assert mean_difference(image, quarters()) < 3


# --- rendering refuses what inspection refuses --------------------------------------------------


def test_rendering_enforces_the_limits_itself(tmp_path: Path) -> None:
    work = RenderPicture(
        write_picture(tmp_path, encode_picture(quarters(), "png")),
        str(tmp_path / "made"),
        limits=PictureLimits(max_side=90),
    )

    with pytest.raises(MediaTooLarge):
        render_picture(work)
    with pytest.raises(UnreadableMedia):
        render(tmp_path, encode_picture(photo(), "jpeg")[:-500])
    assert not (tmp_path / "made").exists()
