"""What a child refuses comes back as what it was, whatever the class takes to be made."""

import pytest

from media.problems import MediaProblem, Unreadable
from media.sound.wholeness import CutOff, Damaged
from media.workshop.problems import problem_of
from media.workshop.wire import Refused


@pytest.mark.parametrize("kind", [CutOff, Damaged, Unreadable, MediaProblem])
def test_every_kind_comes_back(kind: type[MediaProblem]) -> None:
    told = Refused(1, f"{kind.__module__}:{kind.__qualname__}", "The sound is cut off.", "invalid_media")
    problem = problem_of(told)
    assert type(problem) is kind
    assert (problem.message, problem.code, str(problem)) == (told.message, told.code, told.message)


def test_an_unknown_kind_is_a_problem_all_the_same() -> None:
    assert type(problem_of(Refused(1, "os:system", "No.", "invalid_media"))) is MediaProblem
