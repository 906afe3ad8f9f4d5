"""What is noted of answers outlives the process that makes them."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chatapi.completions.runs import journal
from chatapi.completions.runs.journal import Journal
from chatapi.env import ROOT
from engines.events import AudioDelta, ReasoningDelta, TextDelta, ToolCallStart, Usage

ID, PRICE = uuid4(), uuid4()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journals" / "a-process"


@pytest.fixture
def kept(path: Path) -> Iterator[Journal]:
    kept = Journal(path)
    yield kept
    kept.close()


def test_what_came_of_an_answer_is_read_back(kept: Journal, path: Path) -> None:
    slot = kept.slot(ID)
    slot.asked(PRICE, 12, 3)
    slot.begun()
    for event in (
        TextDelta("Grüße"),
        ReasoningDelta("hm, well"),
        ToolCallStart(0, "id", "tool"),
        TextDelta("!"),
    ):
        slot.add(event)
    slot.add(AudioDelta(data=bytes(48 * 100)))
    slot.spoken(48 * 51)
    told = journal.read(path)[ID]
    assert (told.price_id, told.images, told.was_asked, told.has_begun) == (PRICE, 3, True, True)
    # 7 + 4 + 1 bytes are 3 tokens, 8 bytes of reasoning 2, 100 ms of its own sound 2, 51 ms made here 2
    assert (
        told.usage
        == slot.usage
        == Usage(
            prompt_tokens=12,
            completion_tokens=3 + 2 + 2 + 2,
            reasoning_tokens=2,
            completion_audio_tokens=4,
            estimated=True,
        )
    )


def test_what_the_engine_counted_goes_before_what_we_count(kept: Journal, path: Path) -> None:
    slot = kept.slot(ID)
    slot.asked(None, 12, 0)
    slot.add(TextDelta("Hello"))
    slot.counted(Usage(prompt_tokens=5, completion_tokens=7, cached_tokens=2))
    assert journal.read(path)[ID].usage == Usage(5, 7, 2)
    slot.asked(PRICE, 4, 0)  # another model takes over
    assert journal.read(path)[ID].usage.prompt_tokens == 4


def test_nothing_is_told_of_who_was_never_asked_or_has_ended(kept: Journal, path: Path) -> None:
    slots = [kept.slot(uuid4()) for _ in range(1000)]  # more than it was made for
    assert len(journal.read(path)) == 1000
    assert all(told.usage == Usage() for told in journal.read(path).values())
    for slot in slots:
        slot.release()
    assert journal.read(path) == {}
    kept.close()
    assert not path.exists()


def test_slots_that_were_begun_before_it_grew_are_noted_still(kept: Journal, path: Path) -> None:
    first = kept.slot(ID)
    others = [kept.slot(uuid4()) for _ in range(300)]
    first.asked(PRICE, 1, 0)
    first.add(TextDelta("Hello"))
    assert journal.read(path)[ID].usage.completion_tokens == 2
    first.release()
    assert len(journal.read(path)) == len(others)
    kept.close()
    assert path.exists()  # for the sweep


def test_a_full_disk_kills_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with closing(Journal(path)) as kept:
        slot = kept.slot(ID)
        slot.asked(PRICE, 1, 0)
        slot.add(TextDelta("Hello"))
        assert slot.usage.completion_tokens == 2
        slot.release()


DYING = """
import os, signal, sys
from pathlib import Path
from uuid import UUID
from chatapi.completions.runs.journal import Journal
from engines.events import TextDelta
slot = Journal(Path(sys.argv[1])).slot(UUID(sys.argv[2]))
slot.asked(None, 3, 0)
slot.begun()
slot.add(TextDelta("x" * 40))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_has_noted_all(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(path), str(ID)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    told = journal.read(path)[UUID(str(ID))]
    assert told.has_begun
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (3, 10)
