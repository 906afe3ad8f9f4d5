"""Speech encoded to the output formats, streamed and whole."""

import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from chatapi.env import ROOT
from media.processing.sound.inspection import InspectSound, inspect_sound
from media.processing.sound.output_formats import FORMATS, STREAMED
from media.processing.sound.speech_encoding import EncodeSound, encode_pcm, encode_sound
from media.processing.sound.transcoding import Transcode, transcode_sound
from tests.support.sounds import Samples, pitch, samples_of_wav, tone

RATE = 24_000
PCM = tone(2.0, rate=RATE, channels=1).tobytes()
DEMUXERS = {"aac": "aac", "pcm": "s16le", "pcm16": "s16le", "opus": "ogg"}


@pytest.mark.parametrize("format", STREAMED)
def test_a_stream_is_a_valid_file_of_its_format(tmp_path: Path, format: str) -> None:
    path = tmp_path / "stream"
    path.write_bytes(b"".join(encode_pcm(pieces(4_800), format)))

    facts = inspect_sound(InspectSound(str(path), format))
    made = transcode_sound(Transcode(str(path), str(tmp_path / "out"), "wav", format))

    assert facts.media_type == FORMATS[format].media_type
    assert made.milliseconds == pytest.approx(2_000, abs=90)
    assert pitch(samples_of_wav(tmp_path / "out")[1], 16_000) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("format", STREAMED)
def test_sound_can_be_decoded_after_a_quarter_second_of_input(format: str) -> None:
    taken = 0

    def spoken() -> Iterator[bytes]:
        nonlocal taken
        for piece in pieces(960):
            taken += len(piece)
            yield piece

    out, heard = io.BytesIO(), 0.0
    for data in encode_pcm(spoken(), format):
        out.write(data)
        heard = count_decoded_samples(out.getvalue(), format)
        if heard:
            break

    assert heard
    assert taken / 2 / RATE <= 0.25


@pytest.mark.parametrize("format", STREAMED)
def test_sound_is_sent_as_it_arrives(format: str) -> None:
    """A player that has everything sent so far is never half a second behind."""
    sent = 0
    sink = io.BytesIO()

    def spoken() -> Iterator[bytes]:
        nonlocal sent
        for piece in pieces(9_600):
            if sent > 1.0 * RATE * 2:
                assert count_decoded_samples(sink.getvalue(), format) / RATE > sent / 2 / RATE - 0.5
            yield piece
            sent += len(piece)

    for data in encode_pcm(spoken(), format):
        sink.write(data)
    assert sent == len(PCM)


@pytest.mark.parametrize("format", STREAMED)
def test_pieces_may_be_cut_anywhere(format: str) -> None:
    even = b"".join(encode_pcm(pieces(4_800), format))
    odd = b"".join(encode_pcm(pieces(4_801), format))
    single = b"".join(encode_pcm([b"", PCM[:1], PCM[1:], b""], format))

    assert even == odd == single


@pytest.mark.parametrize("format", STREAMED)
def test_no_input_gives_a_stream_without_sound(format: str) -> None:
    assert len(b"".join(encode_pcm([], format))) < 1_000


def test_pcm_is_passed_on_unchanged() -> None:
    assert b"".join(encode_pcm(pieces(999), "pcm16")) == PCM == b"".join(encode_pcm(pieces(6), "pcm"))


def test_a_wav_states_its_length_if_it_is_known() -> None:
    streamed = b"".join(encode_pcm(pieces(4_800), "wav"))
    whole = b"".join(encode_pcm(pieces(4_800), "wav", pcm_bytes=len(PCM)))

    assert struct.unpack("<4sI4s4sIHHIIHH4sI", streamed[:44]) == (
        *(b"RIFF", 0xFFFF_FFFF, b"WAVE", b"fmt ", 16, 1, 1),
        *(RATE, RATE * 2, 2, 16, b"data", 0xFFFF_FFFF),
    )
    assert struct.unpack("<I", whole[4:8])[0] == len(PCM) + 36
    assert struct.unpack("<I", whole[40:44])[0] == len(PCM)
    assert streamed[44:] == whole[44:] == PCM


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("by", ["bytes", "path"])
def test_a_whole_sound_is_a_file_that_states_its_duration(tmp_path: Path, format: str, by: str) -> None:
    source = tmp_path / "pcm"
    source.write_bytes(PCM)
    out = tmp_path / "out"
    given = (
        EncodeSound(str(out), format, pcm=PCM)
        if by == "bytes"
        else EncodeSound(str(out), format, path=str(source))
    )

    made = encode_sound(given)

    assert (made.milliseconds, made.size) == (2_000, out.stat().st_size)
    assert made.media_type == inspect_sound(InspectSound(str(out), format)).media_type
    if format not in ("pcm", "pcm16"):
        with av.open(str(out), "r", format=DEMUXERS.get(format, format)) as container:
            assert container.duration == pytest.approx(2_000_000, abs=80_000)


def test_a_lossless_file_holds_the_same_samples(tmp_path: Path) -> None:
    out = tmp_path / "out"
    encode_sound(EncodeSound(str(out), "flac", pcm=PCM))

    with av.open(str(out), "r") as container:
        samples: Samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert samples.tobytes() == PCM


def test_importing_the_jobs_loads_no_ffmpeg() -> None:
    """The web process imports them for their types."""
    modules = ", ".join(
        f"media.processing.sound.{name}"
        for name in ("speech_encoding", "inspection", "file_types", "waveform_peaks", "transcoding")
    )
    code = f"import sys, {modules}; sys.exit(bool({{'av', 'numpy', 'django'}} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def pieces(length: int) -> Iterator[bytes]:
    yield from (PCM[start : start + length] for start in range(0, len(PCM), length))


def count_decoded_samples(data: bytes, format: str) -> float:
    """Count the samples, at 24 kHz, that a player can decode from an unfinished stream."""
    options = {"sample_rate": "24000", "ch_layout": "mono"} if format.startswith("pcm") else {}
    try:
        with av.open(
            io.BytesIO(data), "r", format=DEMUXERS.get(format, format), container_options=options
        ) as player:
            return sum(frame.samples * RATE / frame.sample_rate for frame in player.decode(audio=0))
    except (av.error.InvalidDataError, av.error.EOFError):
        return 0
