"""Any bytes give facts or a clear refusal, quickly."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media.processing.exceptions import MediaError
from media.processing.sound.inspection import InspectSound, SoundFacts, inspect_sound
from media.processing.sound.limits import SoundLimits
from media.processing.sound.transcoding import Transcode, transcode_sound
from tests.support.examples import examples
from tests.support.sounds import CLUSTER, FILES, box, id3, sound_file

CPU_LIMIT = 5.0
"""Seconds of processor time."""
LIMITS = SoundLimits(seconds=30)
SIGNATURES = [
    *(b"RIFF\xff\xff\xff\xffWAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64", b"OggS\0\x02", b"fLaC\0\0\0\x22"),
    *(b"\x1a\x45\xdf\xa3\x84\x42\x82\x84webm", b"\0\0\0\x10ftypM4A \0\0\0\0", b"ID3\x04\0\0\0\0\0\0"),
    *(b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80"),
]
BOUNDED = settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))


@given(start=st.sampled_from(SIGNATURES), rest=st.binary(max_size=3_000))
@BOUNDED
def test_noise_after_any_signature_is_accepted_or_refused(start: bytes, rest: bytes) -> None:
    survives(start + rest)


@given(data=st.binary(max_size=3_000), claimed=st.sampled_from(["wav", "mp3", "pcm16", None]))
@BOUNDED
def test_noise_is_accepted_or_refused(data: bytes, claimed: str | None) -> None:
    survives(data, claimed)


@pytest.mark.parametrize("kind", FILES)
@settings(BOUNDED, max_examples=examples(8))
@given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=8)), max_size=6))
def test_a_file_with_changed_bytes_is_accepted_or_refused(
    kind: str, changes: list[tuple[float, bytes]]
) -> None:
    survives(_replace_bytes(sound_file(kind, 0.3), changes, 1.0))


@pytest.mark.parametrize("kind", FILES)
@settings(BOUNDED, max_examples=examples(8))
@given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=8)), max_size=6))
def test_headers_with_changed_bytes_are_accepted_or_refused(
    kind: str, changes: list[tuple[float, bytes]]
) -> None:
    """Most of a file is payload; the headers that steer the parser are at its ends."""
    data = sound_file(kind, 0.3)
    survives(_replace_bytes(data, changes, 400 / len(data)))
    survives(_replace_bytes(data[::-1], changes, 800 / len(data))[::-1])


@pytest.mark.parametrize("kind", FILES)
@settings(BOUNDED, max_examples=examples(8))
@given(part=st.floats(0, 1))
def test_a_file_cut_anywhere_is_refused_or_nearly_complete(kind: str, part: float) -> None:
    data = sound_file(kind, 1.0)

    facts = survives(data[: round(len(data) * part)])

    # raw AAC is frames and nothing else: cut between two of them, it is a whole sound, only shorter
    assert facts is None or facts.milliseconds > 900 or kind == "aac"


@pytest.mark.parametrize(
    "data",
    [
        box(b"free") * 200_000,
        box(b"ftyp", b"isom") + box(b"free") * 300_000,
        box(b"ftyp", b"isom") + b"\0\0\0\1mdat" + b"\xff" * 8,
        box(b"ftyp", b"isom") + b"\0\0\0\1free" + bytes(8),
        b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 300_000,
        b"OggS" + bytes(23) + b"OggS" * 100_000,
        b"\x1a\x45\xdf\xa3\x84\x42\x82\x84webm" + CLUSTER + b"\xff" * 500_000,
        b"\x1a\x45\xdf\xa3\x84\x42\x82\x84webm" + b"\xec\x80" * 500_000,
        b"\x1a\x45\xdf\xa3\x84\x42\x82\x84webm" + b"\x18\x53\x80\x67\xff" * 100_000,
        id3(b"") * 100_000,
        b"fLaC" + b"\x01\0\0\0" * 300_000,
    ],
    ids=range(11),
)
def test_an_endless_structure_is_refused_quickly(data: bytes) -> None:
    assert survives(data) is None


def test_deeply_nested_boxes_are_refused() -> None:
    nested = b""
    for _ in range(5_000):
        nested = box(b"trak", nested)

    assert survives(box(b"ftyp", b"isom") + box(b"moov", nested)) is None


def survives(data: bytes, claimed: str | None = None) -> SoundFacts | None:
    """Return the facts if the file is accepted. Fail on anything but MediaError, or if it takes too long."""
    began = time.process_time()
    facts = None
    with TemporaryDirectory() as folder:
        path = Path(folder, "sound")
        path.write_bytes(data)
        try:
            facts = inspect_sound(InspectSound(str(path), claimed, LIMITS))
            made = transcode_sound(Transcode(str(path), f"{path}.wav", "wav", claimed, LIMITS))
            assert 0 < made.milliseconds <= LIMITS.seconds * 1_000
        except MediaError:
            assert not Path(f"{path}.wav").exists()
    assert time.process_time() - began < CPU_LIMIT
    return facts


def _replace_bytes(data: bytes, changes: list[tuple[float, bytes]], part: float) -> bytes:
    """Return `data` with bytes replaced at positions in its first `part` (a share of its length)."""
    changed = bytearray(data)
    for place, change in changes:
        start = int(place * min(part, 1.0) * len(data))
        changed[start : start + len(change)] = change
    return bytes(changed[: len(data)])
