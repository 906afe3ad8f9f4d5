"""The kind of a sound file is detected from its bytes."""

import struct
from pathlib import Path

import pytest

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.file_types import CLAIMS, PCM16, sniff_file, sniff_sound
from tests.support.sounds import FILES, SIGNED_AS, id3, picture_tag, sound_file

NOT_SOUND = {
    "a PNG picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a JPEG picture": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(100),
    "a WebP picture": b"RIFF\x40\0\0\0WEBPVP8 " + bytes(60),
    "a HEIC or AVIF picture": b"\0\0\0\x18ftypheic" + bytes(100),
    "an AVI video": b"RIFF\x40\0\0\0AVI LIST" + bytes(60),
    "a ZIP archive": b"PK\x03\x04" + bytes(100),
    "a playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
    "markup (HTML, SVG or XML)": b"\xef\xbb\xbf\n <svg xmlns='http://www.w3.org/2000/svg'/>",
    "JSON": b'{"audio": 1}',
}
UNRECOGNIZABLE = {
    "nothing but zeros": bytes(20_000),
    "all ones": b"\xff" * 20_000,
    "text": b"ID card, RIFF, fLaC and OggS are words here. " * 100,
    "UTF-16 text": "\ufeffhello".encode("utf-16") * 500,
    "one MP3 header in zeros": b"\xff\xfb\x90\x64" + bytes(20_000),
    "one ADTS header in zeros": b"\xff\xf1\x50\x80\x10\x1f\xfc" + bytes(20_000),
    "ID3 with a forged size": b"ID3\x03\0\0\xff\xff\xff\xff" + bytes(100),
    "EBML of another kind": b"\x1a\x45\xdf\xa3\x84\x42\x82\x81x",
    "half a signature": b"RIFF\0\0",
    "one byte": b"\xff",
}


@pytest.mark.parametrize("kind", FILES)
def test_each_kind_is_recognized_by_its_first_bytes(kind: str) -> None:
    found = sniff_sound(sound_file(kind)[:16_384])

    assert found is not None
    assert found.name == SIGNED_AS.get(kind, kind)


@pytest.mark.parametrize("bytes_of", [*NOT_SOUND.values(), *UNRECOGNIZABLE.values()])
def test_other_bytes_are_not_recognized_as_sound(bytes_of: bytes) -> None:
    assert sniff_sound(bytes_of) is None


@pytest.mark.parametrize("what", NOT_SOUND)
@pytest.mark.parametrize("claimed", ["wav", "mp3", "pcm16", None])
def test_the_refusal_says_what_the_bytes_are(tmp_path: Path, what: str, claimed: str | None) -> None:
    path = _file(tmp_path, NOT_SOUND[what])

    with pytest.raises(UnreadableMedia) as refusal:
        sniff_file(path, claimed)

    assert refusal.value.message.startswith(f"This is {what}, not sound")
    assert ("though it is said to be" in refusal.value.message) == bool(claimed)


def test_recognizable_bytes_override_the_claim(tmp_path: Path) -> None:
    path = _file(tmp_path, sound_file("m4a"))

    assert {sniff_file(path, claimed).name for claimed in (*CLAIMS, "nonsense", None)} == {"m4a"}


def test_headerless_pcm_is_accepted_only_if_it_is_claimed(tmp_path: Path) -> None:
    path = _file(tmp_path, bytes(4_800))

    assert sniff_file(path, "pcm16") is PCM16
    with pytest.raises(UnreadableMedia, match="no kind of sound"):
        sniff_file(path, "wav")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="empty"):
        sniff_file(_file(tmp_path, b""), "pcm16")


@pytest.mark.parametrize("kind", ["mp3", "flac", "aac"])
def test_the_kind_is_found_after_a_tag_longer_than_the_head(tmp_path: Path, kind: str) -> None:
    frames = sound_file(kind)
    if kind == "mp3":
        frames = frames[frames.index(b"\xff\xfb") :]

    assert sniff_file(_file(tmp_path, picture_tag(100_000) + frames), None).name == kind


def test_a_single_frame_is_a_file(tmp_path: Path) -> None:
    adts = sound_file("aac")
    length = struct.unpack(">I", adts[3:7])[0] >> 13 & 0x1FFF

    assert sniff_file(_file(tmp_path, adts[:length]), None).name == "aac"
    assert sniff_sound(adts[: length - 1]) is None


def test_a_polyglot_is_only_what_its_signature_says(tmp_path: Path) -> None:
    """It is never opened as anything else."""
    assert sniff_file(_file(tmp_path, id3(NOT_SOUND["a PNG picture"])), None).name == "mp3"
    assert sniff_sound(NOT_SOUND["a PNG picture"] + sound_file("mp3")) is None


def _file(folder: Path, data: bytes) -> str:
    path = folder / "sound"
    path.write_bytes(data)
    return str(path)
