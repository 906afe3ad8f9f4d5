"""Opens and decodes pictures with Pillow. Imported only by job functions, because it is heavy."""

import contextlib
import mmap
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import pillow_heif
from PIL import AvifImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from media.processing.exceptions import MediaTooLarge, UnreadableMedia
from media.processing.native_threads import NATIVE_THREADS
from media.processing.pictures.file_structure import CUT_OFF, DAMAGED, DeclaredSize, read_declared_size
from media.processing.pictures.file_types import HEAD_BYTES, PictureKind, picture_kind
from media.processing.pictures.limits import PictureLimits

# Importing plugins by name avoids a scan of all of Pillow's; no others than these five are ever imported.
PLUGINS = (AvifImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)
AvifImagePlugin.DEFAULT_MAX_THREADS = NATIVE_THREADS
pillow_heif.register_heif_opener(
    thumbnails=False, depth_images=False, aux_images=False, decode_threads=NATIVE_THREADS
)

DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError,
    EOFError, RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow, libheif and libavif raise on hostile bytes."""

_ORIENTATION = 0x0112
_TRANSPOSE_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS_ORIENTATIONS = frozenset({5, 6, 7, 8})


class OpenPicture:
    """A picture whose declared size is within the limits; `load` decodes its first frame."""

    def __init__(self, image: Image.Image, kind: PictureKind, declared_size: DeclaredSize) -> None:
        self.image = image
        self.kind = kind
        self.declared_size = declared_size
        self.orientation = _read_orientation(image)

    @property
    def profile(self) -> bytes | None:
        """Its ICC color profile."""
        profile = self.image.info.get("icc_profile")
        return profile if isinstance(profile, bytes) else None

    def load(self, at_least: tuple[int, int] | None = None) -> Image.Image:
        """Return the pixels, not turned upright yet.

        With `at_least`, a JPEG may be decoded at a smaller size, but not below this one.
        """
        claimed = self.image.size
        with _translate_decoder_errors():
            if at_least is not None and self.kind.plugin == "JPEG":
                self.image.draft(None, at_least)
                claimed = self.image.size
            self.image.load()
        if self.image.size != claimed:
            raise UnreadableMedia(DAMAGED)
        return self.image


@contextlib.contextmanager
def open_picture(path: str, limits: PictureLimits) -> Iterator[OpenPicture]:
    """Open a picture with the decoder of its kind alone, without decoding it yet.

    Raises `UnreadableMedia` and `MediaTooLarge`.
    """
    size = Path(path).stat().st_size
    if size > limits.max_bytes:
        raise MediaTooLarge(f"The picture is larger than {_megabytes(limits.max_bytes)} MB.")
    kind, claimed = _read_structure(path)
    if claimed is not None:
        check_limits(claimed, limits)
    with contextlib.ExitStack() as stack:
        with _translate_decoder_errors():
            image = stack.enter_context(Image.open(path, formats=[kind.plugin]))
            seen = DeclaredSize(
                *image.size, frames=claimed.frames if claimed else getattr(image, "n_frames", 1)
            )
        if claimed not in (None, seen):
            raise UnreadableMedia(DAMAGED)
        check_limits(seen, limits)
        yield OpenPicture(image, kind, seen)


def turn_upright(image: Image.Image, picture: OpenPicture) -> Image.Image:
    """Turn `image`, made from the pixels of `picture`, the way its EXIF data say."""
    method = _TRANSPOSE_METHODS.get(picture.orientation)
    return image if method is None else image.transpose(method)


def upright_size(picture: OpenPicture) -> tuple[int, int]:
    width, height = picture.declared_size.width, picture.declared_size.height
    return (height, width) if picture.orientation in _SIDEWAYS_ORIENTATIONS else (width, height)


def check_limits(claimed: DeclaredSize, limits: PictureLimits) -> None:
    width, height = claimed.width, claimed.height
    if not (width and height and claimed.frames):
        raise UnreadableMedia("The picture has no pixels.")
    if max(width, height) > limits.max_side:
        raise MediaTooLarge(f"The picture is {width}×{height} pixels; a side may have {limits.max_side}.")
    if width * height > limits.max_pixels:
        raise MediaTooLarge(f"The picture is {width}×{height} pixels; {limits.max_pixels} in all are taken.")
    if claimed.frames > limits.max_frames:
        raise MediaTooLarge(f"The picture has {claimed.frames} frames; {limits.max_frames} are taken.")


def _read_structure(path: str) -> tuple[PictureKind, DeclaredSize | None]:
    with Path(path).open("rb") as file:
        kind = picture_kind(file.read(HEAD_BYTES))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return kind, read_declared_size(mapped, kind)


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. Broken EXIF data do not make a picture unusable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            orientation = image.getexif().get(_ORIENTATION, 1)
        except DECODER_ERRORS:
            return 1
    return orientation if isinstance(orientation, int) else 1


@contextlib.contextmanager
def _translate_decoder_errors() -> Iterator[None]:
    """Translate what decoders raise into our own errors.

    Their warnings about hostile bytes are dropped: they concern nobody.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except MemoryError as error:
            raise MediaTooLarge("The picture needs more memory than there is for it.") from error
        except DECODER_ERRORS as error:
            raise UnreadableMedia(_error_message(error)) from error


def _error_message(error: Exception) -> str:
    text = str(error).lower()
    if "truncated" in text or "end of file" in text:
        return CUT_OFF
    if "decompressed data too large" in text or "text memory" in text:
        return "The picture's embedded texts or color profile unpack to too much."
    return DAMAGED


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.4g}"
