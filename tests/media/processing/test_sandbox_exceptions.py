"""An error raised in a worker process reaches the caller in its own class, whatever the constructor takes."""

import pytest

from media.processing.exceptions import MediaError, UnreadableMedia
from media.processing.sandbox.exceptions import rebuild_media_error
from media.processing.sandbox.protocol import MediaRejected
from media.processing.sound.truncation import CutOff, Damaged


@pytest.mark.parametrize("kind", [CutOff, Damaged, UnreadableMedia, MediaError])
def test_every_error_class_comes_back(kind: type[MediaError]) -> None:
    rejected = MediaRejected(
        1, f"{kind.__module__}:{kind.__qualname__}", "The sound is cut off.", "invalid_media"
    )
    error = rebuild_media_error(rejected)
    assert type(error) is kind
    assert (error.message, error.code, str(error)) == (rejected.message, rejected.code, rejected.message)


def test_an_unknown_class_becomes_a_media_error() -> None:
    assert type(rebuild_media_error(MediaRejected(1, "os:system", "No.", "invalid_media"))) is MediaError
