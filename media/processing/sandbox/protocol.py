"""The protocol between the service and a worker process: msgpack after a four-byte length.

The parent trusts nothing that a worker process says, because hostile bytes may have taken it over: frames
are bounded and typed, and a process that breaks the rules is killed.
"""

from collections.abc import Iterator

import msgspec

FRAME_LIMIT = 64 * 2**20
"""Bytes. Larger results go through a file."""
WINDOW = 64
"""How many pieces of a stream a worker process may be ahead of their reader."""
HEADER = 4


class FrameTooLarge(ValueError):
    """A frame beyond `FRAME_LIMIT`."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """The base class of all frames."""


# --- orders: parent to worker process -----------------------------------------------------------


class Setup(Frame, frozen=True):
    """The first frame. `memory` is in bytes of address space."""

    parent: int
    threads: int
    memory: int | None
    preload: tuple[str, ...]
    niceness: int


class Start(Frame, frozen=True, tag=1):
    call: int
    job: str
    work: msgspec.Raw


class Credit(Frame, frozen=True, tag=2):
    """`pieces` more pieces were read."""

    call: int
    pieces: int


class Cancel(Frame, frozen=True, tag=3):
    call: int


ParentFrame = Start | Credit | Cancel

# --- reports: worker process to parent ----------------------------------------------------------


class Ready(Frame, frozen=True, tag=1):
    """The worker process accepts orders."""


class Piece(Frame, frozen=True, tag=2):
    call: int
    value: msgspec.Raw


class JobDone(Frame, frozen=True, tag=3):
    """`value` is the result, or nil after a stream."""

    call: int
    value: msgspec.Raw


class MediaRejected(Frame, frozen=True, tag=4):
    """The job raised a `MediaError`, of the class that `kind` names."""

    call: int
    kind: str
    message: str
    code: str


class JobFailed(Frame, frozen=True, tag=5):
    """The job raised any other exception."""

    call: int
    trace: str
    out_of_memory: bool


WorkerFrame = Ready | Piece | JobDone | MediaRejected | JobFailed

_encoder = msgspec.msgpack.Encoder()


def pack(message: Frame) -> bytearray:
    frame = bytearray(HEADER)
    _encoder.encode_into(message, frame, HEADER)
    size = len(frame) - HEADER
    if size > FRAME_LIMIT:
        raise FrameTooLarge(f"a frame of {size} bytes")
    frame[:HEADER] = size.to_bytes(HEADER, "big")
    return frame


class Unpacker:
    """Splits incoming bytes into the bodies of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._buffer += data
        while len(self._buffer) >= HEADER:
            size = int.from_bytes(self._buffer[:HEADER], "big")
            if size > FRAME_LIMIT:
                raise FrameTooLarge(f"a frame of {size} bytes")
            end = HEADER + size
            if len(self._buffer) < end:
                return
            body = bytes(memoryview(self._buffer)[HEADER:end])
            del self._buffer[:end]
            yield body
