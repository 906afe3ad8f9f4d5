"""What a child refuses comes back as what it was, whatever the class takes to be made."""

import pytest

from media.processing.exceptions import MediaError, UnreadableMedia
from media.processing.sandbox.exceptions import rebuild_media_error
from media.processing.sandbox.protocol import MediaRejected
from media.processing.sound.truncation import CutOff, Damaged


@pytest.mark.parametrize("kind", [CutOff, Damaged, UnreadableMedia, MediaError])
def test_every_kind_comes_back(kind: type[MediaError]) -> None:
    told = MediaRejected(
        1, f"{kind.__module__}:{kind.__qualname__}", "The sound is cut off.", "invalid_media"
    )
    problem = rebuild_media_error(told)
    assert type(problem) is kind
    assert (problem.message, problem.code, str(problem)) == (told.message, told.code, told.message)


def test_an_unknown_kind_is_a_problem_all_the_same() -> None:
    assert type(rebuild_media_error(MediaRejected(1, "os:system", "No.", "invalid_media"))) is MediaError
