"""Files that are not what they claim to be, grouped by what they are sent as."""

import struct
import zlib
from functools import cache

from tests.support.pictures import animated, encode_picture, jpeg_claiming, photo, png, quarters
from tests.support.sounds import RATE, opus_bomb, sound_file, wav

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!DOCTYPE html><html><body><script>alert(document.cookie)</script></body></html>"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def half_a_photo(kind: str) -> bytes:
    """Half of a small one: the module is imported by each worker, and HEIC and AVIF are slow to encode."""
    return half(encode_picture(photo(120, 90), kind))


PICTURES = {
    "text": b"This is no picture.",
    "HTML": HTML,
    "SVG": SVG,
    "SVG behind a declaration": b'<?xml version="1.0"?>\n' + SVG,
    "PDF": PDF,
    "a PNG's signature alone": b"\x89PNG\r\n\x1a\n",
    "half a PNG": half_a_photo("png"),
    "half a JPEG": half_a_photo("jpeg"),
    "half a WebP": half_a_photo("webp"),
    "half a GIF": half_a_photo("gif"),
    "half a HEIC": half_a_photo("heic"),
    "half an AVIF": half_a_photo("avif"),
    "2,500,000,000 pixels": png(50_000, 50_000, pixels=bytes(10_000)),
    "a JPEG of 65,500 × 65,500": jpeg_claiming(65_500, 65_500, encode_picture(quarters(), "jpeg")),
    "no pixels": png(0, 10),
    "sound": sound_file("mp3"),
}
SOUNDS = {
    "text": b"This is no sound.",
    "HTML": HTML,
    "a playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "a picture": encode_picture(quarters()),
    "noise": bytes(range(256)) * 20,
    "half an MP3": sound_file("mp3")[: len(sound_file("mp3")) // 2 + 7],
    "half a WAV": half(sound_file("wav")),
    "half a WebM": half(sound_file("webm")),
    "half a FLAC": half(sound_file("flac")),
    "half an Ogg": half(sound_file("opus")),
    "half an MP4": half(sound_file("m4a")),
    "a WAV that says it is longer": wav(bytes(3200), said=2**30),
    "a WAV of 4 GHz": wav(rate=2**32 - 1),
    "a WAV of 1 Hz": wav(rate=1),
    "a WAV of 65,535 channels": wav(channels=65_535),
    "a WAV without samples": wav(b""),
    "an Opus bomb": opus_bomb(0.2),
}
MARK = b"<script>evil()</script>"
POLYGLOTS = {
    "a GIF that is a script": b"GIF89a/*" + animated("gif")[8:] + b"*/=1;" + MARK,
    "a PNG with a page behind it": encode_picture(quarters()) + MARK,
    "a JPEG with a page in its comment": encode_picture(quarters(), "jpeg", comment=MARK),
    "a JPEG with an archive behind it": encode_picture(quarters(), "jpeg") + b"PK\x03\x04" + MARK,
    "a WebP with a page behind it": encode_picture(quarters(), "webp") + MARK,
}
SSML_BOMBS = {
    "a billion laughs": '<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><speak>&b;</speak>',
    "a file of the host's": '<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]><speak>&a;</speak>',
    "an address of the net's": '<!DOCTYPE s SYSTEM "http://127.0.0.1/x.dtd"><speak>Hi.</speak>',
    "a deep nest": f"<speak>{'<prosody>' * 180}Hi.{'</prosody>' * 180}</speak>",
    "a file to be played": '<speak><audio src="http://127.0.0.1/x.wav"/></speak>',
    "an inclusion": '<speak xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="file:///etc/passwd"/></speak>',
    "a lexicon": '<speak><lexicon uri="http://127.0.0.1/x.pls"/>Hi.</speak>',
}

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@cache
def large_opus_bomb() -> bytes:
    """25 MB that unpack to 100 GB: packets of two bytes, each 120 ms of silence."""
    head, tags = opus_bomb(0)[: 28 + 19], opus_bomb(0)[28 + 19 :]
    packets = bytes([0b11111_0_11, 6]) * 255
    pages = [head, tags]
    for number in range(25_000_000 // (len(packets) + 27 + 255)):
        granule = (number + 1) * 255 * RATE * 120 // 1000
        page = (
            struct.pack("<4sBBqIIIB", b"OggS", 0, 0, granule, 7, number + 2, 0, 255) + b"\2" * 255 + packets
        )
        pages.append(page[:22] + struct.pack("<I", _ogg_checksum(page)) + page[26:])
    return b"".join(pages)


def _ogg_checksum(page: bytes) -> int:
    """Compute the checksum with zlib's CRC, which reads each byte's bits in the opposite order."""
    value = ~zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) & 0xFFFF_FFFF
    return int(f"{value:032b}"[::-1], 2)
