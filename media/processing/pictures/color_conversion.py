"""Converts pictures of every mode to plain 8-bit sRGB. Imported only by job functions."""

import warnings
from io import BytesIO

from PIL import Image, ImageCms, ImageStat

from media.processing.pictures.decoding import DECODER_ERRORS

_LIGHT = 192
"""The mean brightness above which the visible part of a transparent picture is lost on white."""

_PROFILE_SPACES = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "L": "GRAY"}


def to_eight_bit(image: Image.Image) -> Image.Image:
    """Convert to mode L, LA, RGB, RGBA or CMYK.

    Palettes are looked up, 16 bits become 8, and transparency becomes a channel.
    """
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255: all but the darkest pixels would be white.
        little_endian = image.mode != "I;16B"
        return Image.frombytes("L", image.size, image.tobytes()[1 if little_endian else 0 :: 2])
    if image.mode in ("LA", "RGBA", "CMYK"):
        return image
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if image.has_transparency_data:
            return image.convert("RGBA")
        return image.convert("L" if image.mode in ("1", "L") else "RGB")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert `image` (from `to_eight_bit`) to mode L, RGB or RGBA.

    Its colors are converted from `profile` (ICC) if there is one.
    """
    image = _apply_profile(image, profile) if profile else image
    if image.mode == "LA":
        image = image.convert("RGBA")
    elif image.mode == "CMYK":
        image = image.convert("RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255:
        image = image.convert("RGB")
    return image


def flatten(image: Image.Image) -> Image.Image:
    """Put an RGBA picture on white, or on black if its visible part is light; return others unchanged."""
    if image.mode != "RGBA":
        return image
    alpha = image.getchannel("A")
    visible = ImageStat.Stat(image.convert("L"), alpha)
    is_light = bool(visible.count[0]) and visible.mean[0] > _LIGHT
    background = Image.new("RGB", image.size, "black" if is_light else "white")
    background.paste(image, mask=alpha)
    return background


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to sRGB. If the profile is broken or meant for another mode, the colors stay as they are."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _PROFILE_SPACES.get(image.mode):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, *DECODER_ERRORS):
        return image
    if converted is None:
        return image
    return converted.convert("L") if image.mode == "L" else converted
