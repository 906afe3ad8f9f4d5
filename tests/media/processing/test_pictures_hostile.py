"""Damaged bytes give a picture or a refusal, never another error."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media.processing.exceptions import MediaError
from media.processing.pictures.inspection import InspectPicture, inspect_picture
from media.processing.pictures.limits import PictureLimits
from media.processing.pictures.rendering import RenderPicture, render_picture
from tests.support.examples import examples
from tests.support.pictures import animated, encode_picture, quarters, revealing_exif, write_picture

WHOLE = {
    **{
        kind: encode_picture(quarters(), kind, exif=revealing_exif())
        for kind in ("png", "jpeg", "webp", "heic", "avif")
    },
    "gif": encode_picture(quarters(), "gif"),
    "progressive": encode_picture(quarters(), "jpeg", progressive=True),
    "animated gif": animated("gif"),
    "animated png": animated("png"),
    "animated webp": animated("webp"),
    "animated avif": animated("avif"),
}

Edit = tuple[float, int, bytes]
"""Position (0 to 1), bytes removed, bytes inserted."""
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=5
)


def apply_edits(data: bytes, edits: list[Edit]) -> bytes:
    for share, removed, inserted in edits:
        at = int(share * len(data))
        data = data[:at] + inserted + data[at + removed :]
    return data


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
@given(edits=EDITS)
def test_a_mutated_picture_is_accepted_or_refused(tmp_path: Path, data: bytes, edits: list[Edit]) -> None:
    path = write_picture(tmp_path, apply_edits(data, edits))
    with suppress(MediaError):
        facts = inspect_picture(InspectPicture(path))
        made = render_picture(RenderPicture(path, str(tmp_path / "made")))
        assert facts.width * facts.height <= PictureLimits().max_pixels
        assert max(made.width, made.height) <= 2048


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 0.25), bits=st.integers(1, 255))
def test_a_header_with_flipped_bits_is_accepted_or_refused(
    tmp_path: Path, data: bytes, share: float, bits: int
) -> None:
    changed = bytearray(data)
    changed[int(share * len(data))] ^= bits
    path = write_picture(tmp_path, bytes(changed))
    with suppress(MediaError):
        facts = inspect_picture(InspectPicture(path))
        assert facts.width * facts.height <= PictureLimits().max_pixels
