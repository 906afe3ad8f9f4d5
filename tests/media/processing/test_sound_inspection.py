"""What is accepted and refused, decided without decoding."""

import io
import struct
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from media.processing.exceptions import MediaError, MediaTooLarge, UnreadableMedia
from media.processing.sound.inspection import InspectSound, SoundFacts, inspect_sound
from media.processing.sound.limits import SoundLimits
from tests.support.sounds import (
    FILES,
    box,
    encode_samples,
    opus_bomb,
    picture_tag,
    sound_file,
    tone,
    wav,
    with_external_data,
)

Inspect = Callable[..., SoundFacts]

CUTS = (0.05, 0.5, 0.9)
DEFAULT = SoundLimits()
GENEROUS = SoundLimits(seconds=1e9, decoded_bytes=10**15)


@pytest.fixture
def inspect(tmp_path: Path) -> Inspect:
    def _inspect(data: bytes, claimed: str | None = None, limits: SoundLimits = DEFAULT) -> SoundFacts:
        path = tmp_path / "sound"
        path.write_bytes(data)
        return inspect_sound(InspectSound(str(path), claimed, limits))

    return _inspect


# --- accepted files -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_is_accepted_with_its_true_length(inspect: Inspect, kind: str) -> None:
    facts = inspect(sound_file(kind, 2.0))

    assert facts.milliseconds == pytest.approx(2_000, abs=60)
    assert facts.channels == (1 if kind == "3gp" else 2)
    assert facts.sample_rate == (8_000 if kind == "3gp" else 48_000)


def test_a_browser_recording_without_duration_and_sizes_is_measured(inspect: Inspect) -> None:
    recording = sound_file("livewebm", 3.0)
    assert b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" in recording, "the segment's size is unknown"
    assert b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff" in recording, "a cluster's size is unknown"
    with av.open(io.BytesIO(recording), "r") as container:
        assert container.duration is None

    facts = inspect(recording, "webm")

    assert (facts.kind, facts.media_type, facts.codec) == ("webm", "audio/webm", "opus")
    assert facts.milliseconds == pytest.approx(3_000, abs=60)


@pytest.mark.parametrize("said", [0, 0xFFFF_FFFF, 0x7FFF_FFFF])
def test_a_wav_from_a_pipe_is_measured_whatever_length_it_states(inspect: Inspect, said: int) -> None:
    assert inspect(wav(bytes(32_000), said=said)).milliseconds == 1_000


def test_an_ogg_whose_last_page_is_not_marked_is_complete(inspect: Inspect) -> None:
    """Android's own recorder and Telegram produce such files."""
    assert inspect(opus_bomb(0.001)).codec == "opus"


def test_headerless_pcm_has_24000_samples_per_second(inspect: Inspect) -> None:
    facts = inspect(bytes(48_000), "pcm16")

    assert (facts.kind, facts.milliseconds, facts.channels, facts.sample_rate) == ("pcm16", 1_000, 1, 24_000)


def test_the_sound_of_a_video_is_accepted(inspect: Inspect, tmp_path: Path) -> None:
    assert inspect(_video(tmp_path)).codec == "aac"


def test_a_giant_cover_picture_does_not_matter(inspect: Inspect) -> None:
    facts = inspect(picture_tag(8 * 2**20) + sound_file("mp3", 2.0))

    assert facts.milliseconds == pytest.approx(2_000, abs=60)


def test_damage_in_the_middle_does_not_count_as_cut_off(inspect: Inspect) -> None:
    for kind in ("mp3", "flac"):
        data = sound_file(kind, 2.0)
        middle = len(data) // 2
        assert inspect(data[:middle] + bytes(1_000) + data[middle + 1_000 :]).milliseconds > 1_500


# --- cut-off files ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", CUTS)
def test_a_file_that_ends_early_is_refused(inspect: Inspect, kind: str, part: float) -> None:
    whole = sound_file(kind, 2.0)

    with pytest.raises(UnreadableMedia):
        inspect(whole[: round(len(whole) * part)])


def test_the_refusal_says_that_the_sound_is_cut_off(inspect: Inspect) -> None:
    for kind in FILES:
        with pytest.raises(UnreadableMedia, match=r"^The sound is cut off\.$"):
            inspect(sound_file(kind, 2.0)[:-2_000])


def test_an_mp3_without_a_frame_count_is_cut_off_if_its_last_frame_is(inspect: Inspect) -> None:
    plain = encode_samples(tone(2.0), "mp3", "libmp3lame", {"write_xing": "0"})

    assert inspect(plain).milliseconds == pytest.approx(2_000, abs=60)
    with pytest.raises(UnreadableMedia, match="cut off"):
        inspect(plain[:-100])


def test_pcm_that_ends_in_half_a_sample_is_cut_off(inspect: Inspect) -> None:
    with pytest.raises(UnreadableMedia, match="cut off"):
        inspect(bytes(4_801), "pcm16")


# --- forged headers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forged",
    [
        wav(rate=0),
        wav(rate=1),
        wav(rate=4_000_000_000),
        wav(rate=192_001),
        wav(channels=0),
        wav(channels=9),
        wav(channels=65_535),
        wav(bits=0),
        wav(bits=64),
        wav(said=0x4000_0000),
        wav(tag=0x55),
        wav(tag=0x1234),
        wav(b""),
        wav()[:44],
        b"RIFF\xff\xff\xff\xffWAVE" + b"junk\0\0\0\0" * 1_000,
    ],
)
def test_a_wav_with_a_forged_header_is_refused(inspect: Inspect, forged: bytes) -> None:
    with pytest.raises(MediaError):
        inspect(forged)


@pytest.mark.parametrize(("table", "at"), [(b"stsz", 12), (b"trun", 8)])
def test_a_table_with_more_samples_than_bytes_is_refused(inspect: Inspect, table: bytes, at: int) -> None:
    """FFmpeg would allocate room for four billion of them."""
    data = bytearray(sound_file("mp4" if table == b"stsz" else "fragmented", 1.0))
    struct.pack_into(">I", data, data.index(table) + at, 0xFFFF_FFFF)

    with pytest.raises(UnreadableMedia, match="damaged"):
        inspect(bytes(data))


def test_a_compressed_index_is_refused(inspect: Inspect) -> None:
    index = box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", b"\xff\xff\xff\xff" + bytes(50))))

    with pytest.raises(UnreadableMedia, match="damaged"):
        inspect(box(b"ftyp", b"isom" + bytes(4)) + index)


def test_an_alac_frame_of_sixteen_million_samples_is_refused(inspect: Inspect) -> None:
    data = bytearray(sound_file("alac", 1.0))
    struct.pack_into(">I", data, data.rindex(b"alac") + 8, 0xFF_FFFF)

    with pytest.raises(UnreadableMedia, match="damaged"):
        inspect(bytes(data))


def test_forged_durations_do_not_hide_the_true_length(inspect: Inspect) -> None:
    data = bytearray(sound_file("fragmented", 3.0))
    for place in range(len(data)):
        if data[place : place + 4] == b"tfhd":
            flags = struct.unpack_from(">I", data, place + 4)[0]
            assert flags & 0x8, "a default duration follows the track's number"
            struct.pack_into(">I", data, place + 12, 1)

    with pytest.raises(MediaTooLarge, match="longer"):
        inspect(bytes(data), limits=SoundLimits(seconds=1.0))


def test_a_file_that_refers_to_another_one_does_not_read_it(inspect: Inspect, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\x01\x40" * 200_000)
    data = with_external_data(sound_file("mov", 1.0), str(secret))
    assert _is_read_by_plain_ffmpeg(tmp_path, data), "the reference is one that FFmpeg could follow"

    with pytest.raises(UnreadableMedia):
        inspect(data)


# --- limits -------------------------------------------------------------------------------------


def test_a_bomb_is_detected_without_unpacking_it(inspect: Inspect) -> None:
    bomb = opus_bomb(0.25)
    began = time.process_time()

    with pytest.raises(MediaTooLarge, match="longer than 7200 seconds"):
        inspect(bomb)
    with pytest.raises(MediaTooLarge, match="larger than 1024 MB when unpacked"):
        inspect(bomb, limits=SoundLimits(seconds=1e9, decoded_bytes=2**30))

    assert time.process_time() - began < 5, "unpacking takes minutes"


def test_the_length_that_a_bomb_would_unpack_to_is_known(inspect: Inspect) -> None:
    facts = inspect(opus_bomb(0.1), limits=GENEROUS)

    assert facts.milliseconds == 132 * 255 * 120


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (SoundLimits(bytes=1_000), "larger"),
        (SoundLimits(seconds=0.9), "longer"),
        (SoundLimits(channels=1), "channels"),
        (SoundLimits(sample_rate=44_100), "samples a second"),
        (SoundLimits(decoded_bytes=100_000), "unpacked"),
    ],
)
@pytest.mark.parametrize("kind", ["wav", "mp3", "opus", "m4a"])
def test_each_limit_is_enforced(inspect: Inspect, kind: str, limits: SoundLimits, word: str) -> None:
    with pytest.raises(MediaTooLarge, match=word) as refusal:
        inspect(sound_file(kind), limits=limits)

    assert refusal.value.code == "media_too_large"


# --- no sound -----------------------------------------------------------------------------------


def test_a_video_without_sound_is_refused(inspect: Inspect, tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="no sound in this mp4 file"):
        inspect(_video(tmp_path, has_sound=False))


def test_an_unlisted_codec_is_refused(inspect: Inspect) -> None:
    with pytest.raises(UnreadableMedia, match=r"codec \(ac3\) is not taken"):
        inspect(encode_samples(tone(0.5), "matroska", "ac3"))


def test_a_tag_without_sound_is_refused(inspect: Inspect) -> None:
    with pytest.raises(UnreadableMedia):
        inspect(picture_tag(100_000))


def _video(folder: Path, *, has_sound: bool = True) -> bytes:
    path = folder / "video.mp4"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="stereo") if has_sound else None
        for number in range(25):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8), format="rgb24")
            container.mux(pictures.encode(picture))
        if sound:
            frame = av.AudioFrame.from_ndarray(tone(1.0).reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate = 48_000
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
        container.mux(pictures.encode(None))
    return path.read_bytes()


def _is_read_by_plain_ffmpeg(folder: Path, data: bytes) -> bool:
    path = folder / "plain.mov"
    path.write_bytes(data)
    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(path), container_options=options) as container:
        packets = [bytes(packet) for packet in container.demux() if packet.size]
    return any(packet.startswith(b"\x01\x40" * 8) for packet in packets)
