"""What goes on to a model is a new picture of the same pixels, and nothing else."""

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


def rendered(
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


def differ(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of a channel's values, 0 to 255."""
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


# --- formats and orientation --------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_the_pixels_of_each_format_come_out(tmp_path: Path, kind: str) -> None:
    made, _, image = rendered(tmp_path, encode_picture(quarters(), kind))

    assert made.media_type in ("image/png", "image/jpeg")
    assert differ(image, quarters()) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "heic", "avif"])
def test_every_orientation_gives_the_same_upright_picture(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    made, _, image = rendered(tmp_path, rotated_picture(orientation, kind))

    assert (made.width, made.height) == (96, 64)
    assert differ(image, quarters()) < 3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path: Path, orientation: int) -> None:
    assert differ(rendered(tmp_path, rotated_picture(orientation))[2], quarters()) < 3


def test_broken_exif_data_do_not_make_a_picture_unusable(tmp_path: Path) -> None:
    for exif in (
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 50,
        b"Exif\0\0",
    ):
        assert differ(rendered(tmp_path, encode_picture(quarters(), "jpeg", exif=exif))[2], quarters()) < 3


# --- nothing else goes on -----------------------------------------------------------------------

SECRET = b"SecretCamera"


@pytest.mark.parametrize("purpose", ["model", "thumbnail"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "heic", "avif"])
def test_nothing_of_the_metadata_goes_on(
    tmp_path: Path, kind: str, purpose: Literal["model", "thumbnail"]
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SecretCamera</x:xmpmeta>"
    data = encode_picture(
        photo(), kind, exif=revealing_exif(), icc_profile=profile, xmp=xmp, comment="SecretCamera"
    )
    assert SECRET in data

    _, file, image = rendered(tmp_path, data, purpose=purpose)

    assert SECRET not in file
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment", "XML:com.adobe.xmp"} & set(image.info)
    assert blocks(file) <= PLAIN_BLOCKS


@pytest.mark.parametrize("kind", FORMATS)
def test_what_was_hidden_behind_a_picture_stays_behind(tmp_path: Path, kind: str) -> None:
    data = encode_picture(quarters(), kind) + b"PK\3\4<script>SecretCamera</script>"

    assert SECRET not in rendered(tmp_path, data)[1]


def test_a_gif_that_is_a_script_too_becomes_a_picture_only(tmp_path: Path) -> None:
    data = encode_picture(quarters(), "gif", comment=b"*/=1;alert('SecretCamera')/*")
    assert SECRET in data

    assert SECRET not in rendered(tmp_path, data)[1]


def test_texts_and_pages_within_a_png_stay_behind(tmp_path: Path) -> None:
    page = png_chunk(b"tEXt", b"Comment\0<html><script>SecretCamera</script>")

    assert SECRET not in rendered(tmp_path, png(4, 4, page, pixels=b"\0" * 20))[1]


PLAIN_BLOCKS = {
    *("IHDR", "PLTE", "IDAT", "IEND"),
    *("ffd8", "ffe0", "ffdb", "ffc0", "ffc4", "ffda"),
    *("VP8 ", "VP8L", "VP8X", "ALPH"),
}


def blocks(file: bytes) -> set[str]:
    """The kinds of a file's chunks or, of a JPEG, its markers up to the coded pixels."""
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


# --- colours ------------------------------------------------------------------------------------


def test_a_colour_profile_is_applied_before_it_is_dropped(tmp_path: Path) -> None:
    """The sRGB primaries written for a profile whose red and blue are exchanged look right again."""
    red, green, blue = quarters().split()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = profile.replace(b"rXYZ", b"?XYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"?XYZ", b"bXYZ", 1)

    _, _, image = rendered(
        tmp_path, encode_picture(Image.merge("RGB", (blue, green, red)), "png", icc_profile=exchanged)
    )

    assert differ(image, quarters()) < 5


@pytest.mark.parametrize("profile", [b"rubbish", b"\0" * 128, b"\0\0\2\0lcms" + b"\xff" * 500])
def test_a_broken_colour_profile_is_ignored(tmp_path: Path, profile: bytes) -> None:
    assert (
        differ(rendered(tmp_path, encode_picture(quarters(), "png", icc_profile=profile))[2], quarters()) < 1
    )


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    file = BytesIO()
    quarters().convert("CMYK").save(file, "JPEG", quality=95)

    _, _, image = rendered(tmp_path, file.getvalue())

    assert image.mode == "RGB"
    assert differ(image, quarters()) < 5


def test_16_bits_of_grey_keep_their_shades(tmp_path: Path) -> None:
    wide = Image.frombytes("I;16", (256, 64), b"".join(struct.pack("<H", n * 256) for n in range(256)) * 64)
    narrow = Image.frombytes("L", (256, 64), bytes(range(256)) * 64)

    assert differ(rendered(tmp_path, encode_picture(wide, "png"))[2], narrow) < 2


def test_10_bits_of_a_heic_become_8(tmp_path: Path) -> None:
    import pillow_heif

    row = b"".join(struct.pack("<HHH", n * 256, n * 256, n * 256) for n in range(256))
    file = BytesIO()
    pillow_heif.encode("RGB;16", (256, 64), row * 64, file, quality=95)
    narrow = Image.frombytes("L", (256, 64), bytes(range(256)) * 64)

    assert differ(rendered(tmp_path, file.getvalue())[2], narrow) < 3


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_few_colours_are_looked_up(tmp_path: Path, mode: str) -> None:
    image = quarters().convert(mode)

    assert differ(rendered(tmp_path, encode_picture(image, "png"))[2], image) < 1


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparency_stays(tmp_path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((10, 10, 10, 255), (10, 10, 30, 30))

    made, _, image = rendered(tmp_path, encode_picture(clear.convert(mode), "png"))

    assert made.media_type == "image/png"
    alpha = image.convert("RGBA").getchannel("A")
    assert (alpha.getpixel((0, 0)), alpha.getpixel((20, 20))) == (0, 255)


def test_the_one_transparent_colour_of_a_plain_png_stays_transparent(tmp_path: Path) -> None:
    data = encode_picture(quarters(), "png", transparency=(255, 0, 0))

    alpha = rendered(tmp_path, data)[2].getchannel("A")

    assert (alpha.getpixel((5, 5)), alpha.getpixel((90, 60))) == (0, 255)


def test_an_alpha_channel_of_an_opaque_picture_is_dropped(tmp_path: Path) -> None:
    assert rendered(tmp_path, encode_picture(photo().convert("RGBA"), "png"))[0].media_type == "image/jpeg"


@pytest.mark.parametrize(("ink", "ground"), [("white", (0, 0, 0)), ("black", (255, 255, 255))])
def test_a_transparent_photo_too_large_for_png_is_put_on_a_ground_on_which_it_is_seen(
    tmp_path: Path, ink: str, ground: tuple[int, int, int]
) -> None:
    clear = Image.merge(
        "RGBA", (*Image.new("RGB", (300, 300), ink).split(), Image.effect_noise((300, 300), 90))
    )
    clear.paste((0, 0, 0, 0), (0, 0, 50, 50))

    made, _, image = rendered(tmp_path, encode_picture(clear, "png"), max_bytes=60_000)

    assert made.media_type == "image/jpeg"
    assert differ(image.crop((0, 0, 40, 40)), Image.new("RGB", (40, 40), ground)) < 3


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_large_pictures_are_scaled_down_in_proportion(tmp_path: Path, kind: str) -> None:
    _, _, image = rendered(tmp_path, encode_picture(quarters(960, 640), kind), max_side=300)

    assert image.size == (300, 200)
    assert differ(image, quarters(300, 200)) < 4


def test_a_picture_is_never_enlarged(tmp_path: Path) -> None:
    assert rendered(tmp_path, encode_picture(quarters(), "png"))[2].size == (96, 64)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1, 1), (1, 1)), ((1, 16_000), (1, 1000)), ((16_000, 1), (1000, 1)), ((3, 9), (3, 9))],
)
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp"])
def test_extreme_shapes_keep_a_pixel(
    tmp_path: Path, kind: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert rendered(tmp_path, encode_picture(Image.new("RGB", size), kind), max_side=1000)[2].size == expected


def test_quality_yields_to_the_limit_of_bytes_and_then_size_does(tmp_path: Path) -> None:
    data = encode_picture(photo(), "png")
    fine, _, _ = rendered(tmp_path, data)

    coarse, _, image = rendered(tmp_path, data, max_bytes=fine.size // 2)
    assert coarse.size <= fine.size // 2
    assert image.size == (400, 300)

    small, _, image = rendered(tmp_path, data, max_bytes=3_000)
    assert small.size <= 3_000
    assert image.size < (400, 300)
    assert image.width / image.height == pytest.approx(4 / 3, rel=0.05)


def test_a_limit_beyond_reach_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaTooLarge, match="as small as 50 bytes"):
        rendered(tmp_path, encode_picture(photo(), "png"), max_bytes=50)


def test_screenshots_stay_sharp_and_photos_small(tmp_path: Path) -> None:
    screenshot = text_picture(
        [(20, 20 + 30 * n, "Settings, privacy and security") for n in range(8)], (800, 300)
    )

    assert rendered(tmp_path, encode_picture(screenshot, "png"))[0].media_type == "image/png"
    assert differ(rendered(tmp_path, encode_picture(screenshot, "png"))[2], screenshot) == 0
    assert rendered(tmp_path, encode_picture(photo(), "png"))[0].media_type == "image/jpeg"
    assert rendered(tmp_path, encode_picture(photo().convert("L"), "png"))[0].media_type == "image/jpeg"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_thumbnail_is_a_small_webp(tmp_path: Path, kind: str) -> None:
    made, _, image = rendered(tmp_path, encode_picture(quarters(960, 640), kind), purpose="thumbnail")

    assert (made.media_type, made.width, made.height) == ("image/webp", 256, 171)
    assert differ(image, quarters(256, 171)) < 4


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "avif"])
def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path, kind: str) -> None:
    _, _, image = rendered(tmp_path, animated(kind))

    assert getattr(image, "n_frames", 1) == 1
    assert differ(image, quarters()) < 3


# --- what inspection refuses, rendering refuses -------------------------------------------------


def test_rendering_holds_the_limits_itself(tmp_path: Path) -> None:
    work = RenderPicture(
        write_picture(tmp_path, encode_picture(quarters(), "png")),
        str(tmp_path / "made"),
        limits=PictureLimits(max_side=90),
    )

    with pytest.raises(MediaTooLarge):
        render_picture(work)
    with pytest.raises(UnreadableMedia):
        rendered(tmp_path, encode_picture(photo(), "jpeg")[:-500])
    assert not (tmp_path / "made").exists()
