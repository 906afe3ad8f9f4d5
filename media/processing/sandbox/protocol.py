"""What the service and a workshop's child say to each other: msgpack after four bytes of length.

The parent believes nothing a child says, for hostile bytes may have taken the child over: frames are
bounded and typed, and who breaks the rules is ended.
"""

from collections.abc import Iterator

import msgspec

FRAME_LIMIT = 64 * 2**20
"""Bytes. Larger results go through a file."""
WINDOW = 64
"""Pieces of a stream that a child may be ahead of their reader."""
HEADER = 4


class FrameTooLarge(ValueError):
    """A frame beyond `FRAME_LIMIT`."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Base of the frames."""


# --- orders: parent to child --------------------------------------------------------------------


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
    """That many pieces were read."""

    call: int
    pieces: int


class Cancel(Frame, frozen=True, tag=3):
    call: int


ParentFrame = Start | Credit | Cancel

# --- reports: child to parent -------------------------------------------------------------------


class Ready(Frame, frozen=True, tag=1):
    """The child takes orders."""


class Piece(Frame, frozen=True, tag=2):
    call: int
    value: msgspec.Raw


class JobDone(Frame, frozen=True, tag=3):
    """`value` is the result, nil after a stream."""

    call: int
    value: msgspec.Raw


class Refused(Frame, frozen=True, tag=4):
    """The job raised a `MediaProblem`, of the class that stands at `kind`."""

    call: int
    kind: str
    message: str
    code: str


class JobFailed(Frame, frozen=True, tag=5):
    """The job raised anything else."""

    call: int
    trace: str
    out_of_memory: bool


ChildFrame = Ready | Piece | JobDone | Refused | JobFailed

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
    """Cuts what arrives into the bodies of frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._held += data
        while len(self._held) >= HEADER:
            size = int.from_bytes(self._held[:HEADER], "big")
            if size > FRAME_LIMIT:
                raise FrameTooLarge(f"a frame of {size} bytes")
            end = HEADER + size
            if len(self._held) < end:
                return
            body = bytes(memoryview(self._held)[HEADER:end])
            del self._held[:end]
            yield body
