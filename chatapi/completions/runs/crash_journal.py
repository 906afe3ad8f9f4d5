"""The journal: how far each answer of this process has come, so that a sweep can bill it after a crash.

It is a file that is mapped into memory. Recording a chunk costs less than a microsecond and waits for no
disk, and what was recorded outlives the process, whatever kills it, since the kernel keeps it. A machine that
loses power loses the last seconds. There is one file per process, and one slot per running answer.
"""

import logging
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from msgspec.structs import astuple

from chatapi.completions.token_counts import ByteTally, PromptEstimate, fill_broken_counts, pcm16_tokens
from core.file_lock import try_lock, unlock
from core.value import Value
from engines.events import Event, TextDelta, Usage

logger = logging.getLogger(__name__)

_COUNTS = len(Usage().counts)
_HEAD = struct.Struct("<16s16sIIIII")
_TALLY = struct.Struct("=4Q")
_USAGE = struct.Struct(f"<{_COUNTS}I")
_TALLY_AT = 64
_USAGE_AT = _TALLY_AT + _TALLY.size
_SLOT = 160
_SLOTS = 256
_NO_ID = bytes(16)
MAX_COUNT = 2**31 - 1
_WAS_ASKED, _HAS_BEGUN, _WAS_COUNTED = 1, 2, 4


class RunProgress(Value, frozen=True):
    """What a slot says about its run.

    `price_id` is the price of the model that was asked last, if it has one, `requests` how often it had been
    asked; `usage` is what the pump would have reported.
    """

    price_id: UUID | None
    images: int
    requests: int
    usage: Usage
    was_asked: bool
    has_begun: bool


class Journal:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._free: list[int] = []
        self._slots = 0

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Create the journal, and lock it for as long as this process lives."""
        path.parent.mkdir(parents=True, exist_ok=True)
        journal = cls(path, path.open("w+b"))
        with suppress(OSError):  # a file system without locks
            try_lock(journal._file)
        journal._grow()
        return journal

    def slot(self, completion_id: UUID) -> "JournalSlot":
        if not self._free:
            self._grow()
        slot = JournalSlot(self, self._free.pop() * _SLOT, completion_id)
        slot.claim()
        return slot

    def close(self) -> None:
        """Close the file. Slots that are still in use are left for the sweep."""
        if not self._file.closed:
            with suppress(OSError):
                unlock(self._file)
        self._file.close()  # the memory stays mapped for as long as a slot is held
        if len(self._free) == self._slots:
            self._path.unlink(missing_ok=True)

    def release(self, offset: int) -> None:
        self._free.append(offset // _SLOT)

    def _grow(self) -> None:
        first, self._slots = self._slots, self._slots * 2 or _SLOTS
        self.memory = self._map(self._slots * _SLOT)
        self._free += range(self._slots - 1, first - 1, -1)

    def _map(self, size: int) -> mmap.mmap:
        """Map the file. Its disk space is allocated first: a write without space would kill the process."""
        try:
            os.posix_fallocate(self._file.fileno(), 0, size)
            return mmap.mmap(self._file.fileno(), size)
        except OSError as error:
            logger.error("Progress of answers cannot be noted on the disk: %s", error)
            return mmap.mmap(-1, size)


class JournalSlot:
    """The progress of one answer. An event is recorded before anybody sees it."""

    def __init__(self, journal: Journal, offset: int, completion_id: UUID) -> None:
        self._journal = journal
        self._offset = offset
        self._memory = journal.memory  # maps the file even after the journal has grown
        sizes = memoryview(journal.memory)[offset + _TALLY_AT : offset + _TALLY_AT + _TALLY.size]
        self._sizes = sizes.cast("Q")  # in the order of `ByteTally.sizes`, in this machine's byte order
        self._id = completion_id.bytes
        self._price = _NO_ID
        self._prompt = PromptEstimate()
        self._requests = 0
        self._flags = 0
        self._tally = ByteTally()
        self._engine_usage: Usage | None = None

    def claim(self) -> None:
        """Write the completion's id, which makes the slot count."""
        self._write_head()

    @property
    def has_begun(self) -> bool:
        return bool(self._flags & _HAS_BEGUN)

    @property
    def images(self) -> int:
        """How many pictures the model was shown."""
        return self._requests * self._prompt.images

    @property
    def was_counted(self) -> bool:
        """Whether the engine has told its usage."""
        return self._engine_usage is not None

    @property
    def requests(self) -> int:
        """How often the model was asked."""
        return self._requests

    @property
    def usage(self) -> Usage:
        """What the engine counted, or our estimate, plus the speech that was made of the answer here.

        It is empty if no model was asked: for example if a picture could not be prepared.
        """
        return _usage(self._flags, self._prompt, self._requests, self._tally, self._engine_usage)

    def record_request(self, price_id: UUID | None, prompt: PromptEstimate) -> None:
        """Record that a model is about to be asked, possibly not the same one as before."""
        self._flags = _WAS_ASKED
        self._engine_usage = None
        self._price = price_id.bytes if price_id else _NO_ID
        self._prompt = prompt
        self._requests = 1
        self._write_head()

    def record_requests(self, requests: int) -> None:
        """Record that the same model has read the prompt this many times."""
        self._requests = requests
        self._write_head()

    def record_start(self) -> None:
        if not self._flags & _HAS_BEGUN:
            self._flags |= _HAS_BEGUN
            self._write_head()

    def add(self, event: Event) -> None:
        tally = self._tally
        tally.add(event)
        self._sizes[0] = tally.answer
        if type(event) is not TextDelta:
            self._sizes[1], self._sizes[2] = tally.reasoning, tally.sound

    def add_speech(self, size: int, limit: int = MAX_COUNT) -> bool:
        """Record that `size` more bytes of PCM16 were made of the answer here.

        Return whether that is so: no more than `limit` tokens of sound are recorded.
        """
        spoken = self._tally.spoken + size
        if pcm16_tokens(spoken) > limit:
            return False
        self._tally.spoken = self._sizes[3] = spoken
        return True

    def record_usage(self, usage: Usage) -> None:
        """Record what the engine itself counted."""
        self._engine_usage = usage
        try:
            _USAGE.pack_into(self._memory, self._offset + _USAGE_AT, *astuple(usage)[:_COUNTS])
        except struct.error:  # no upstream means counts this large
            self._engine_usage = usage.clamped
            _USAGE.pack_into(self._memory, self._offset + _USAGE_AT, *astuple(self._engine_usage)[:_COUNTS])
        self._flags |= _WAS_COUNTED
        self._write_head()

    def record_told_usage(self, told: Sequence[Usage]) -> None:
        """Record what the engine counted of answers that broke off, and our estimate of the rest."""
        estimate = self._tally.estimate(self._prompt, self._requests)
        self.record_usage(fill_broken_counts(told, self._requests, estimate))

    def release(self) -> None:
        """Free the slot, once the end of the run is stored."""
        self._memory[self._offset : self._offset + _SLOT] = bytes(_SLOT)
        self._journal.release(self._offset)

    def _write_head(self) -> None:
        head = self._id, self._price, self._flags, *self._prompt, self._requests
        _HEAD.pack_into(self._memory, self._offset, *head)


def is_in_use(path: Path) -> bool:
    """Return whether a living process on this machine writes this journal.

    The kernel releases the lock when the process is gone, but not while it is held up.
    """
    with path.open("rb") as file:
        return not try_lock(file, shared=True)


def read(path: Path) -> dict[UUID, RunProgress]:
    """Return what a process left, by completion. Raises `FileNotFoundError`."""
    return dict(_read(path.read_bytes()))


def _read(data: bytes) -> Iterator[tuple[UUID, RunProgress]]:
    for offset in range(0, len(data) - _SLOT + 1, _SLOT):
        id, price, flags, tokens, sound, images, requests = _HEAD.unpack_from(data, offset)
        if id == _NO_ID:
            continue
        tally = ByteTally(*_TALLY.unpack_from(data, offset + _TALLY_AT))
        prompt = PromptEstimate(tokens, sound, images)
        counted = Usage(*_USAGE.unpack_from(data, offset + _USAGE_AT)) if flags & _WAS_COUNTED else None
        yield (
            UUID(bytes=id),
            RunProgress(
                None if price == _NO_ID else UUID(bytes=price),
                images * requests,
                requests,
                _usage(flags, prompt, requests, tally, counted).clamped,
                bool(flags & _WAS_ASKED),
                bool(flags & _HAS_BEGUN),
            ),
        )


def _usage(
    flags: int,
    prompt: PromptEstimate,
    requests: int,
    tally: ByteTally,
    counted: Usage | None,
) -> Usage:
    if not flags & _WAS_ASKED:
        return Usage()
    usage = counted or tally.estimate(prompt, requests)
    return usage + tally.speech if tally.spoken else usage
