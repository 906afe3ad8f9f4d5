"""Message parts that are files: what they are expected to be, and what they turn out to be."""

from core.blob import Blob
from engines.messages import AudioPart, FilePart, ImagePart, Part
from media.inspection import ExpectedMedia
from media.processing.sound.file_types import CLAIMS

MediaPart = ImagePart | AudioPart | FilePart
FORMATS = {kind.media_type: kind.name for kind in reversed(CLAIMS.values())}


def expected_media(part: MediaPart) -> ExpectedMedia | None:
    if isinstance(part, ImagePart) or (isinstance(part, FilePart) and part.stands_for == "image_url"):
        return "image"
    if isinstance(part, AudioPart) or (isinstance(part, FilePart) and part.stands_for == "input_audio"):
        return "audio"
    return None


def claimed_format(part: MediaPart) -> str | None:
    return (part.format or None) if isinstance(part, AudioPart) else None


def is_media_kind(blob: Blob, wanted: ExpectedMedia | None) -> bool:
    kind = blob.media_type.partition("/")[0]
    return wanted is None or kind == wanted or (wanted == "audio" and kind == "video")


def detected_part(part: MediaPart, blob: Blob) -> Part:
    if is_media_kind(blob, "image"):
        url = part.url if isinstance(part, ImagePart) else None
        return ImagePart(blob, url, getattr(part, "detail", None))
    if is_media_kind(blob, "audio"):
        return AudioPart(blob, FORMATS.get(blob.media_type, "pcm16"))
    filename = part.filename if isinstance(part, FilePart) else None
    return FilePart(blob, filename)
