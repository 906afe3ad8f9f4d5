"""Accepted sounds converted to the output formats, and their waveforms."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from media.processing.exceptions import MediaError, MediaTooLarge, UnreadableMedia
from media.processing.sound.inspection import InspectSound, inspect_sound
from media.processing.sound.limits import SoundLimits
from media.processing.sound.output_formats import SoundFile
from media.processing.sound.transcoding import Transcode, transcode_sound
from media.processing.sound.waveform_peaks import SoundPeaks, sound_peaks
from tests.support.sounds import (
    FILES,
    encode_samples,
    loudness,
    opus_bomb,
    pitch,
    samples_of_wav,
    sound_file,
    tone,
    wav,
)

FORMATS = {
    "wav": ("wav", "pcm_s16le", "audio/wav", 16_000),
    "mp3": ("mp3", "mp3", "audio/mpeg", 24_000),
    "opus": ("opus", "opus", "audio/ogg", 48_000),
    "flac": ("flac", "flac", "audio/flac", 24_000),
    "aac": ("aac", "aac", "audio/aac", 24_000),
    "m4a": ("m4a", "aac", "audio/mp4", 24_000),
    "pcm16": ("pcm16", "pcm_s16le", "audio/pcm;rate=24000", 24_000),
}
"""What inspection reports for each output format: kind, codec, media type, sample rate."""


@pytest.mark.parametrize("kind", FILES)
def test_a_tone_survives_conversion_from_every_kind_to_wav(tmp_path: Path, kind: str) -> None:
    made = transcode(tmp_path, sound_file(kind, 2.0), "wav")

    rate, samples = samples_of_wav(tmp_path / "out")
    assert (rate, made.sample_rate, made.media_type) == (16_000, 16_000, "audio/wav")
    assert made.milliseconds == pytest.approx(2_000, abs=30)
    assert len(samples) * 1_000 // rate == made.milliseconds
    assert pitch(samples, rate) == pytest.approx(440, abs=1)
    loud = 9_500 if kind == "3gp" else 11_313
    assert loudness(samples[3_000:-3_000]) == pytest.approx(loud, rel=0.06)


@pytest.mark.parametrize("format", FORMATS)
def test_a_tone_survives_conversion_to_every_format(tmp_path: Path, format: str) -> None:
    kind, codec, media_type, rate = FORMATS[format]
    made = transcode(tmp_path, sound_file("webm", 2.0), format)

    out = str(tmp_path / "out")
    facts = inspect_sound(InspectSound(out, format))
    assert (facts.kind, facts.codec, facts.media_type) == (kind, codec, media_type)
    assert (facts.channels, facts.sample_rate, made.media_type) == (1, rate, media_type)
    assert facts.milliseconds == pytest.approx(2_000, abs=80)
    assert made.size == (tmp_path / "out").stat().st_size

    transcode_sound(Transcode(out, str(tmp_path / "again"), "wav", claimed=format))
    assert pitch(samples_of_wav(tmp_path / "again")[1], 16_000) == pytest.approx(440, abs=1)


def test_compressed_formats_are_small(tmp_path: Path) -> None:
    sizes = {format: transcode(tmp_path, sound_file("wav", 2.0), format).size for format in FORMATS}

    assert sizes["opus"] < 12_000, "32 kbit/s"
    assert sizes["mp3"] < 20_000
    assert sizes["aac"] < 20_000
    assert sizes["wav"] == 64_044
    assert sizes["pcm16"] == 96_000


def test_headerless_pcm_is_read_as_claimed(tmp_path: Path) -> None:
    made = transcode(tmp_path, tone(1.0, rate=24_000, channels=1).tobytes(), "wav", claimed="pcm16")

    assert made.milliseconds == 1_000
    assert pitch(samples_of_wav(tmp_path / "out")[1], 16_000) == pytest.approx(440, abs=1)


def test_frequencies_too_high_for_the_new_rate_are_removed_and_not_aliased(tmp_path: Path) -> None:
    samples = tone(1.0, 440.0, channels=1) // 2 + tone(1.0, 11_000.0, channels=1) // 2

    transcode(tmp_path, wav(samples.tobytes(), rate=48_000), "wav")

    heard = samples_of_wav(tmp_path / "out")[1][1_000:-1_000]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    mirrored = round((16_000 - 11_000) * len(heard) / 16_000)
    assert spectrum[mirrored - 20 : mirrored + 20].max() < spectrum.max() / 1_000


@pytest.mark.parametrize("channels", [2, 4, 5, 6, 7, 8])
def test_all_channels_are_mixed(tmp_path: Path, channels: int) -> None:
    """Three channels without a layout are read as stereo plus a subwoofer, which the mono mix drops."""
    first, last = tone(0.5, 440.0, channels=1), tone(0.5, 1_000.0, channels=1)
    samples = np.zeros((len(first), channels), np.int16)
    samples[:, 0], samples[:, -1] = first[:, 0], last[:, 0]

    transcode(tmp_path, wav(samples.tobytes(), rate=48_000, channels=channels), "wav")

    heard = samples_of_wav(tmp_path / "out")[1][:8_000]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(8_000)))
    assert spectrum[220] > 50_000
    assert spectrum[500] > 50_000
    assert np.abs(heard).max() < 32_000, "nothing is clipped"


def test_identical_channels_are_as_loud_as_one(tmp_path: Path) -> None:
    transcode(tmp_path, sound_file("wav", channels=2), "wav")
    two = loudness(samples_of_wav(tmp_path / "out")[1])
    transcode(tmp_path, sound_file("wav", channels=1), "wav")

    assert two == pytest.approx(loudness(samples_of_wav(tmp_path / "out")[1]), rel=0.01)


# --- timestamps and rates -----------------------------------------------------------------------


def test_a_gap_in_the_timestamps_becomes_silence(tmp_path: Path) -> None:
    data = encode_samples(tone(2.0), "webm", "libopus", stamps={48_000: 48_000 * 3})

    made = transcode(tmp_path, data, "wav")

    samples = samples_of_wav(tmp_path / "out")[1]
    assert made.milliseconds == pytest.approx(5_000, abs=30)
    assert loudness(samples[:15_000]) > 10_000
    assert loudness(samples[20_000:60_000]) == 0
    assert loudness(samples[65_000:79_000]) > 10_000
    assert inspect_sound(InspectSound(str(tmp_path / "in"))).milliseconds == pytest.approx(5_000, abs=60)


def test_a_timestamp_jump_of_an_hour_does_not_become_silence(tmp_path: Path) -> None:
    data = encode_samples(tone(2.0), "webm", "libopus", stamps={48_000: 48_000 * 3_600})

    assert transcode(tmp_path, data, "wav").milliseconds == pytest.approx(2_000, abs=30)


def test_a_late_first_timestamp_does_not_become_silence(tmp_path: Path) -> None:
    data = encode_samples(tone(1.0), "webm", "libopus", stamps={0: 48_000 * 5})

    assert transcode(tmp_path, data, "wav").milliseconds == pytest.approx(1_000, abs=30)


def test_concatenated_recordings_are_both_decoded(tmp_path: Path) -> None:
    one = encode_samples(tone(1.0), "ogg", "flac")
    other = encode_samples(tone(1.0, 880.0), "ogg", "flac")

    made = transcode(tmp_path, one + other, "wav")

    samples = samples_of_wav(tmp_path / "out")[1]
    assert made.milliseconds == pytest.approx(2_000, abs=30)
    assert pitch(samples[:15_000], 16_000) == pytest.approx(440, abs=2)
    assert pitch(samples[17_000:], 16_000) == pytest.approx(880, abs=2)


def test_a_sound_that_changes_its_rate_midway_is_decoded_to_the_end(tmp_path: Path) -> None:
    one = encode_samples(tone(1.0), "adts", "aac")
    other = encode_samples(tone(1.0, rate=24_000), "adts", "aac", rate=24_000)

    made = transcode(tmp_path, one + other, "wav")

    assert made.milliseconds == pytest.approx(2_000, abs=120)
    assert pitch(samples_of_wav(tmp_path / "out")[1][18_000:], 16_000) == pytest.approx(440, abs=2)


# --- damage, limits and output files ------------------------------------------------------------


def test_garbage_between_valid_headers_is_refused(tmp_path: Path) -> None:
    data = bytearray(sound_file("mp4", 2.0))
    start = data.index(b"mdat") + 4
    noise = np.random.default_rng(3).bytes(len(data) - start)
    end = data.index(b"moov") - 4
    data[start:end] = noise[: end - start]

    with pytest.raises(UnreadableMedia, match="could not be decoded"):
        transcode(tmp_path, bytes(data), "wav")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["mp3", "flac", "aac", "opus", "m4a", "livewebm"])
def test_damage_in_the_middle_loses_only_what_is_damaged(tmp_path: Path, kind: str) -> None:
    data = sound_file(kind, 3.0)
    middle = len(data) // 2

    made = transcode(tmp_path, data[:middle] + bytes(40) + data[middle + 40 :], "wav")

    assert made.milliseconds > 1_800
    assert pitch(samples_of_wav(tmp_path / "out")[1][:16_000], 16_000) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("format", FORMATS)
def test_unpacking_stops_at_the_limit(tmp_path: Path, format: str) -> None:
    limits = SoundLimits(seconds=20)

    with pytest.raises(MediaTooLarge, match="longer than 20 seconds"):
        transcode(tmp_path, opus_bomb(0.01), format, limits=limits)
    assert not (tmp_path / "out").exists()


def test_unpacked_bytes_are_counted_during_decoding(tmp_path: Path) -> None:
    with pytest.raises(MediaTooLarge, match="when unpacked"):
        transcode(tmp_path, opus_bomb(0.01), "wav", limits=SoundLimits(decoded_bytes=2**20))


def test_an_existing_file_is_replaced_completely(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(bytes(500_000))

    assert transcode(tmp_path, sound_file("wav"), "wav").size == (tmp_path / "out").stat().st_size == 32_044


def test_an_mp3_output_states_its_duration(tmp_path: Path) -> None:
    transcode(tmp_path, sound_file("wav", 2.0), "mp3")

    with av.open(str(tmp_path / "out"), "r") as container:
        assert container.duration == pytest.approx(2_000_000, abs=80_000)


# --- peaks --------------------------------------------------------------------------------------


def test_peaks_follow_the_waveform(tmp_path: Path) -> None:
    loud, quiet = tone(1.0), tone(1.0) // 4
    data = encode_samples(np.concatenate([loud, quiet]), "flac", "flac")

    peaks = sound_peaks(SoundPeaks(_file(tmp_path, data), buckets=100))

    assert len(peaks.lowest) == len(peaks.highest) == 100
    assert peaks.milliseconds == 2_000
    assert set(peaks.highest[1:49]) <= {61, 62, 63}
    assert set(peaks.lowest[1:49]) <= {-63, -62}
    assert set(peaks.highest[51:99]) <= {15, 16}
    assert set(peaks.lowest[51:99]) <= {-16}


def test_a_click_is_never_lost_between_buckets(tmp_path: Path) -> None:
    samples = np.zeros(160_000, np.int16)
    samples[101_001:101_005] = 32_767

    peaks = sound_peaks(SoundPeaks(_file(tmp_path, wav(samples.tobytes())), buckets=10))

    assert peaks.highest == [0, 0, 0, 0, 0, 0, 127, 0, 0, 0]


def test_a_very_short_sound_has_fewer_peaks(tmp_path: Path) -> None:
    path = _file(tmp_path, wav(struct.pack("<90h", *range(90))))

    assert len(sound_peaks(SoundPeaks(path)).highest) == 3
    assert len(sound_peaks(SoundPeaks(path, buckets=0)).highest) == 1


def test_the_number_of_peaks_is_limited(tmp_path: Path) -> None:
    path = _file(tmp_path, wav(bytes(16_000 * 2 * 12)))

    assert len(sound_peaks(SoundPeaks(path, buckets=10**9)).highest) == 4_000


def test_only_sounds_have_peaks(tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        sound_peaks(SoundPeaks(_file(tmp_path, b"<svg/>")))


def transcode(
    folder: Path, data: bytes, format: str, *, claimed: str | None = None, limits: SoundLimits | None = None
) -> SoundFile:
    path = _file(folder, data)
    return transcode_sound(Transcode(path, str(folder / "out"), format, claimed, limits or SoundLimits()))


def _file(folder: Path, data: bytes) -> str:
    path = folder / "in"
    path.write_bytes(data)
    return str(path)
