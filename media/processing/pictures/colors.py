"""Brings pictures of every mode to plain 8-bit sRGB. Imported by job functions only."""

import warnings
from io import BytesIO

from PIL import Image, ImageCms, ImageStat

from media.processing.pictures.decoding import DAMAGE

_LIGHT = 192
"""Mean brightness from which what is seen of a transparent picture would be lost on white."""

_PROFILE_SPACES = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "L": "GRAY"}


def eight_bit(image: Image.Image) -> Image.Image:
    """In mode L, LA, RGB, RGBA or CMYK: palettes looked up, 16 bits halved, transparency in a channel."""
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


def srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """`image` (from `eight_bit`) in mode L, RGB or RGBA, its colours as `profile` (ICC) means them."""
    image = _converted(image, profile) if profile else image
    if image.mode == "LA":
        image = image.convert("RGBA")
    elif image.mode == "CMYK":
        image = image.convert("RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255:
        image = image.convert("RGB")
    return image


def flattened(image: Image.Image) -> Image.Image:
    """An RGBA picture on white, or on black if what is seen of it is light; others as they are."""
    if image.mode != "RGBA":
        return image
    alpha = image.getchannel("A")
    seen = ImageStat.Stat(image.convert("L"), alpha)
    is_light = bool(seen.count[0]) and seen.mean[0] > _LIGHT
    ground = Image.new("RGB", image.size, "black" if is_light else "white")
    ground.paste(image, mask=alpha)
    return ground


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours of a broken profile, or of one for another mode, are taken as they are."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _PROFILE_SPACES.get(image.mode):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, *DAMAGE):
        return image
    if made is None:
        return image
    return made.convert("L") if image.mode == "L" else made
