"""What the journal records of answers outlives the process that generates them."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chatapi.completions.runs import crash_journal
from chatapi.completions.runs.crash_journal import Journal
from chatapi.completions.token_counts import PromptEstimate
from chatapi.env import ROOT
from engines.events import AudioDelta, ReasoningDelta, TextDelta, ToolCallStart, Usage

ID, PRICE = uuid4(), uuid4()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journals" / "a-process"


@pytest.fixture
def open_journal(path: Path) -> Iterator[Journal]:
    open_journal = Journal.open(path)
    yield open_journal
    open_journal.close()


def test_what_was_recorded_of_an_answer_is_read_back(open_journal: Journal, path: Path) -> None:
    slot = open_journal.slot(ID)
    slot.record_request(PRICE, PromptEstimate(12, 5, 3))
    slot.record_start()
    for event in (
        TextDelta("Grüße"),
        ReasoningDelta("hm, well"),
        ToolCallStart(0, "id", "tool"),
        TextDelta("!"),
    ):
        slot.add(event)
    slot.add(AudioDelta(data=bytes(48 * 100)))
    slot.add_speech(48 * 51)
    entry = crash_journal.read(path)[ID]
    assert (entry.price_id, entry.images, entry.was_asked, entry.has_begun) == (PRICE, 3, True, True)
    # 7 + 4 + 1 bytes are 3 tokens, 8 bytes of reasoning 2, 100 ms of its own sound 2, 51 ms of ours 2
    assert (
        entry.usage
        == slot.usage
        == Usage(
            prompt_tokens=12,
            prompt_audio_tokens=5,
            completion_tokens=3 + 2 + 2 + 2,
            reasoning_tokens=2,
            completion_audio_tokens=4,
            estimated=True,
        )
    )


def test_the_engines_counts_take_precedence_over_ours(open_journal: Journal, path: Path) -> None:
    slot = open_journal.slot(ID)
    slot.record_request(None, PromptEstimate(12))
    slot.add(TextDelta("Hello"))
    slot.record_usage(Usage(prompt_tokens=5, completion_tokens=7, cached_tokens=2))
    assert crash_journal.read(path)[ID].usage == Usage(5, 7, 2)
    slot.record_request(PRICE, PromptEstimate(4))  # another model takes over
    assert crash_journal.read(path)[ID].usage.prompt_tokens == 4


def test_unasked_answers_have_no_usage_and_ended_ones_no_entry(open_journal: Journal, path: Path) -> None:
    slots = [open_journal.slot(uuid4()) for _ in range(1000)]  # more than its initial size
    assert len(crash_journal.read(path)) == 1000
    assert all(entry.usage == Usage() for entry in crash_journal.read(path).values())
    for slot in slots:
        slot.release()
    assert crash_journal.read(path) == {}
    open_journal.close()
    assert not path.exists()


def test_slots_begun_before_the_journal_grew_are_still_recorded(open_journal: Journal, path: Path) -> None:
    first = open_journal.slot(ID)
    others = [open_journal.slot(uuid4()) for _ in range(300)]
    first.record_request(PRICE, PromptEstimate(1))
    first.add(TextDelta("Hello"))
    assert crash_journal.read(path)[ID].usage.completion_tokens == 2
    first.release()
    assert len(crash_journal.read(path)) == len(others)
    open_journal.close()
    assert path.exists()  # for the sweep


def test_a_disk_that_gives_no_space_stops_no_answer(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    with closing(Journal.open(path)) as open_journal:
        slot = open_journal.slot(ID)
        slot.record_request(PRICE, PromptEstimate(1))
        slot.add(TextDelta("Hello"))
        assert slot.usage.completion_tokens == 2
        slot.release()
    assert "cannot be noted on the disk" in caplog.text


DYING = """
import os, signal, sys
from pathlib import Path
from uuid import UUID
from chatapi.completions.runs.crash_journal import Journal
from chatapi.completions.token_counts import PromptEstimate
from engines.events import TextDelta
slot = Journal.open(Path(sys.argv[1])).slot(UUID(sys.argv[2]))
slot.record_request(None, PromptEstimate(3))
slot.record_start()
slot.add(TextDelta("x" * 40))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_has_recorded_everything(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(path), str(ID)],
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    entry = crash_journal.read(path)[UUID(str(ID))]
    assert entry.has_begun
    assert (entry.usage.prompt_tokens, entry.usage.completion_tokens) == (3, 10)
