"""Long sounds are read in windows, cut where the sound is quiet."""

import wave
from pathlib import Path

import numpy as np
import pytest

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.output_formats import RECOGNITION_RATE as RATE
from media.processing.speech.recognition.windows import (
    MAX_WINDOW_SAMPLES,
    AudioWindow,
    Pcm,
    open_sound,
    read_windows,
)


def write_wav(path: Path, pcm: Pcm, rate: int = RATE, channels: int = 1) -> str:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(pcm.astype("<i2").tobytes())
    return str(path)


def read(path: str) -> list[AudioWindow]:
    with open_sound(path) as sound:
        return list(read_windows(sound))


def noise(seconds: float) -> Pcm:
    return np.random.default_rng(3).integers(-8000, 8000, int(seconds * RATE)).astype(np.int16)


def test_a_short_sound_is_one_window(tmp_path: Path) -> None:
    [window] = read(write_wav(tmp_path / "a.wav", np.array([0, 16384, -32768, 32767], np.int16)))

    assert (window.start, window.end) == (0, 4)
    assert window.samples.dtype == np.float32
    assert window.samples.tolist() == [0.0, 0.5, -1.0, 32767 / 32768]


def test_a_sound_without_samples_has_no_window(tmp_path: Path) -> None:
    assert read(write_wav(tmp_path / "a.wav", np.empty(0, np.int16))) == []


@pytest.mark.parametrize("seconds", [119.5, 120, 120.5, 305])
def test_windows_cover_the_whole_sound_in_order(tmp_path: Path, seconds: float) -> None:
    pcm = noise(seconds)
    found = read(write_wav(tmp_path / "a.wav", pcm))

    assert [window.start for window in found[1:]] == [window.end for window in found[:-1]]
    assert all(len(window.samples) <= MAX_WINDOW_SAMPLES for window in found)
    assert np.array_equal(np.concatenate([window.samples for window in found]) * 32768, pcm)


def test_cuts_fall_in_pauses(tmp_path: Path) -> None:
    pcm = noise(280)
    pauses = [(100.0, 100.6), (115.0, 115.5), (200.0, 200.5)]
    for number, (start, end) in enumerate(pauses):
        # the first is not as quiet as the second
        pcm[int(start * RATE) : int(end * RATE)] //= 100 if number != 0 else 10

    first, second, third = read(write_wav(tmp_path / "a.wav", pcm))

    assert 115.0 < first.end / RATE < 115.5
    assert 205.0 < second.end / RATE < 235.5  # 200.2 is not within the window's last 30 seconds
    assert third.end == len(pcm)


def test_silence_is_cut_late(tmp_path: Path) -> None:
    first, *_ = read(write_wav(tmp_path / "a.wav", np.zeros(300 * RATE, np.int16)))
    assert first.end > MAX_WINDOW_SAMPLES - RATE


def test_a_header_that_overstates_the_length_is_not_trusted(tmp_path: Path) -> None:
    path = Path(write_wav(tmp_path / "a.wav", noise(1)))
    data = bytearray(path.read_bytes())
    data[40:44] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(data[:-1])

    [window] = read(str(path))

    assert window.end == RATE - 1


@pytest.mark.parametrize("data", [b"", b"RIFF", b"ID3" + bytes(1000), b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_not_a_wav_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(UnreadableMedia, match="no wav file"):
        read(str(tmp_path / "a.wav"))


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (16_000, 2)])
def test_another_rate_or_channel_count_is_refused(tmp_path: Path, rate: int, channels: int) -> None:
    with pytest.raises(UnreadableMedia, match="16 kHz, mono, 16 bit"):
        read(write_wav(tmp_path / "a.wav", noise(1), rate, channels))
