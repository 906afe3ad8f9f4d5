"""Pictures for tests: in every format, rotated, animated, hostile."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image, ImageDraw, ImageFont

pillow_heif.register_heif_opener()

ORIENTATION = 0x0112
GPS = 0x8825

FORMATS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "lossless": True},
    "gif": {"format": "GIF"},
    "heic": {"format": "HEIF", "quality": 95, "chroma": 444},
    "avif": {"format": "AVIF", "quality": 95, "subsampling": "4:4:4"},
}


def quarters(width: int = 96, height: int = 64) -> Image.Image:
    """Red and green above, blue and white below, so that it shows which way is up."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2 - 1, height // 2 - 1), "red")
    draw.rectangle((width // 2, 0, width, height // 2 - 1), (0, 160, 0))
    draw.rectangle((0, height // 2, width // 2 - 1, height), "blue")
    return image


def photo(width: int = 400, height: int = 300) -> Image.Image:
    """Noise: no two neighboring pixels are alike, as in a photo."""
    channels = [Image.effect_noise((width, height), 60 + 20 * n) for n in range(3)]
    return Image.merge("RGB", channels)


def encode_picture(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, **{**FORMATS[kind], **options})
    return file.getvalue()


def write_picture(folder: Path, data: bytes) -> str:
    path = folder / "picture"
    path.write_bytes(data)
    return str(path)


def rotated_picture(orientation: int, kind: str = "jpeg", image: Image.Image | None = None) -> bytes:
    """A file whose stored pixels look like `image` only when turned as its EXIF `orientation` says."""
    inverses = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = quarters() if image is None else image
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    method = inverses.get(orientation)
    return encode_picture(image if method is None else image.transpose(method), kind, exif=exif.tobytes())


def revealing_exif() -> bytes:
    """EXIF with a camera's name and the place where the picture was taken."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return exif.tobytes()


def text_picture(lines: list[tuple[int, int, str]], size: tuple[int, int], **options: Any) -> Image.Image:
    """Text on a plain background; `lines` are left, top, words. Options: `color`, `ground` and `points`."""
    image = Image.new("RGB", size, options.get("ground", "white"))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(options.get("points", 24))
    for left, top, words in lines:
        draw.text((left, top), words, options.get("color", "black"), font=font)
    return image


def animated(kind: str, frames: int = 3) -> bytes:
    """An animation whose first frame is `quarters`; the others are gray."""
    others = [Image.new("RGB", (96, 64), (40 * n, 40 * n, 40 * n)) for n in range(1, frames)]
    return encode_picture(quarters(), kind, save_all=True, append_images=others, duration=100)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes, pixels: bytes = b"") -> bytes:
    """A PNG (gray, 8 bits) that claims this size; `chunks` come before its pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = b"".join(chunks) + png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def jpeg_claiming(width: int, height: int, data: bytes) -> bytes:
    """`data` with this size in its frame header."""
    at = next(i for i in range(2, len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2))
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def gif_claiming(width: int, height: int) -> bytes:
    data = encode_picture(quarters(), "gif")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def webp_claiming(width: int, height: int) -> bytes:
    canvas = struct.pack("<I", 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    still = encode_picture(quarters(), "webp")[12:]
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + canvas + still
    return b"RIFF" + struct.pack("<I", len(body)) + body


def box_file_claiming(width: int, height: int, kind: str) -> bytes:
    """A HEIC or AVIF whose picture claims this size (`ispe`)."""
    data = encode_picture(quarters(), kind)
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]
