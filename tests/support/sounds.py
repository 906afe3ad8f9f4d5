"""Sounds made for tests, as files of every kind that people send."""

import io
import struct
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

RATE = 48_000
Samples = np.ndarray[Any, np.dtype[np.int16]]

CLUSTER = b"\x1f\x43\xb6\x75"

FILES = {
    "wav": ("wav", "pcm_s16le", {}),
    "wav24": ("wav", "pcm_s24le", {}),
    "wavfloat": ("wav", "pcm_f32le", {}),
    "mulaw": ("wav", "pcm_mulaw", {}),
    "rf64": ("wav", "pcm_s16le", {"rf64": "always"}),
    "mp3": ("mp3", "libmp3lame", {}),
    "flac": ("flac", "flac", {}),
    "opus": ("ogg", "libopus", {}),
    "vorbis": ("ogg", "vorbis", {}),
    "oggflac": ("ogg", "flac", {}),
    "webm": ("webm", "libopus", {}),
    "livewebm": ("webm", "libopus", {"live": "1", "cluster_time_limit": "1000"}),
    "mkv": ("matroska", "aac", {}),
    "m4a": ("ipod", "aac", {}),
    "alac": ("ipod", "alac", {}),
    "mov": ("mov", "pcm_s16le", {}),
    "mp4": ("mp4", "aac", {}),
    "fragmented": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "mp4opus": ("mp4", "libopus", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "aac": ("adts", "aac", {}),
    "3gp": ("3gp", "libopencore_amrnb", {}),
}
"""Muxer, encoder and options of each kind of file."""
SIGNED_AS = {
    **dict.fromkeys(("wav", "wav24", "wavfloat", "mulaw", "rf64"), "wav"),
    **dict.fromkeys(("vorbis", "oggflac"), "ogg"),
    **dict.fromkeys(("webm", "livewebm"), "webm"),
    **dict.fromkeys(("m4a", "alac"), "m4a"),
    **dict.fromkeys(("mp4", "fragmented", "mp4opus", "3gp"), "mp4"),
}
"""The format that a kind's first bytes indicate, where its name differs."""


class Pipe(io.RawIOBase):
    """An output that cannot seek, like that of a browser's recorder."""

    def __init__(self) -> None:
        self.written = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.written.write(data)


def tone(seconds: float, hertz: float = 440.0, rate: int = RATE, channels: int = 2) -> Samples:
    """A tone at half the full volume, of shape (samples, channels)."""
    times = np.arange(round(seconds * rate)) / rate
    wave = (np.sin(2 * np.pi * hertz * times) * 16_000).astype(np.int16)
    return np.repeat(wave[:, None], channels, axis=1)


@cache
def sound_file(kind: str, seconds: float = 1.0, *, rate: int = RATE, channels: int = 2) -> bytes:
    """A tone of 440 Hz as a file of one of the kinds in `FILES`."""
    muxer, encoder, options = FILES[kind]
    if kind == "3gp":
        rate, channels = 8_000, 1
    is_live = kind == "livewebm"
    samples = tone(seconds, rate=rate, channels=channels)
    data = encode_samples(samples, muxer, encoder, options, rate, is_pipe=is_live)
    return _without_cluster_sizes(data) if is_live else data


def encode_samples(
    samples: Samples,
    muxer: str,
    encoder: str,
    options: dict[str, str] | None = None,
    rate: int = RATE,
    *,
    is_pipe: bool = False,
    stamps: dict[int, int] | None = None,
) -> bytes:
    """Encode the samples. `stamps` delays what follows a sample by so many samples, which leaves a gap."""
    sink: Any = Pipe() if is_pipe else io.BytesIO()
    channels = samples.shape[1]
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(sink, "w", format=muxer, container_options=options or {}) as container:
        experimental = {"strict": "-2"}
        stream = cast(
            "AudioStream", container.add_stream(encoder, rate=rate, layout=layout, options=experimental)
        )
        if encoder != "alac" and not encoder.startswith(("pcm", "flac")):
            stream.bit_rate = 12_200 if muxer == "3gp" else 64_000 * channels
        moved = 0
        for start in range(0, len(samples), 960):
            moved += (stamps or {}).get(start, 0)
            container.mux(stream.encode(_frame(samples[start : start + 960], layout, rate, start + moved)))
        container.mux(stream.encode(None))
    return bytes((sink.written if is_pipe else sink).getvalue())


def _without_cluster_sizes(webm: bytes) -> bytes:
    """Mark cluster sizes as unknown: FFmpeg knows them when it writes, but Chrome's recorder does not."""
    first, *clusters = webm.split(CLUSTER)
    unknown = CLUSTER + b"\x01" + b"\xff" * 7
    return unknown.join([first, *(cluster[9 - cluster[0].bit_length() :] for cluster in clusters)])


def _frame(samples: Samples, layout: str, rate: int, pts: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, pts, Fraction(1, rate)
    return frame


def wav(
    pcm: bytes = bytes(32_000),
    *,
    rate: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    said: int | None = None,
    tag: int = 1,
) -> bytes:
    """A WAV whose header may say anything; `said` is the data length that it claims."""
    width = channels * bits // 8
    shape = struct.pack("<HHIIHH", tag, channels, rate, rate * width & 0xFFFF_FFFF, width & 0xFFFF, bits)
    data = struct.pack("<4sI", b"data", len(pcm) if said is None else said) + pcm
    body = b"WAVEfmt " + struct.pack("<I", len(shape)) + shape + data
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFF_FFFF) + body


def ogg_page(packets: list[bytes], number: int, granule: int, flags: int = 0) -> bytes:
    """An Ogg page of whole packets, each shorter than 255 bytes."""
    lacing = bytes(len(packet) for packet in packets)
    header = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 7, number, 0, len(lacing))
    page = header + lacing + b"".join(packets)
    return page[:22] + struct.pack("<I", _ogg_checksum(page)) + page[26:]


def _checksum_table() -> list[int]:
    table = []
    for value in range(256):
        value <<= 24
        for _ in range(8):
            value = value << 1 ^ (0x04C11DB7 if value & 0x8000_0000 else 0)
        table.append(value & 0xFFFF_FFFF)
    return table


CHECKSUMS = _checksum_table()


def _ogg_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value = value << 8 & 0xFFFF_FFFF ^ CHECKSUMS[value >> 24 ^ byte]
    return value


def opus_bomb(megabytes: float) -> bytes:
    """Packets of two bytes, each 120 ms of silence: a megabyte unpacks to four gigabytes."""
    head = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 0, RATE, 0, 0)
    pages = [ogg_page([head], 0, 0, 2), ogg_page([b"OpusTags" + bytes(8)], 1, 0)]
    silence = bytes([0b11111_0_11, 6])
    for number in range(round(megabytes * 2**20) // (255 * 3 + 27)):
        pages.append(ogg_page([silence] * 255, number + 2, (number + 1) * 255 * 5_760))
    return b"".join(pages)


def id3(payload: bytes) -> bytes:
    size = bytes(len(payload) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + payload


def picture_tag(length: int) -> bytes:
    body = b"\0image/png\0\x03\0" + bytes(length)
    return id3(b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body)


def box(name: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I", len(content) + 8) + name + content


def with_external_data(quicktime: bytes, path: str) -> bytes:
    """The same file, claiming that its samples are in another one (a data reference of type `alis`)."""
    place = (
        struct.pack(">HH", 2, len(path)) + path.encode() + bytes(len(path) % 2) + struct.pack(">hH", -1, 0)
    )
    entry = box(b"alis", bytes(4), bytes(10 + 28 + 12 + 64 + 16 + 4 + 16), place)
    content = struct.pack(">II", 0, 1) + entry
    start = quicktime.index(b"dref") - 4
    old = struct.unpack(">I", quicktime[start : start + 4])[0]
    data = bytearray(quicktime[:start] + box(b"dref", content) + quicktime[start + old :])
    longer = len(content) + 8 - old
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = data.index(name) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + longer)
    return bytes(data)


def samples_of_wav(path: str | Path) -> tuple[int, Samples]:
    """Sample rate and samples of a mono WAV."""
    data = Path(path).read_bytes()
    rate, length = struct.unpack("<I", data[24:28])[0], struct.unpack("<I", data[40:44])[0]
    assert length == len(data) - 44
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    return rate, np.frombuffer(data[44:], "<i2")


def pitch(samples: Samples, rate: int) -> float:
    """The loudest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def loudness(samples: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
